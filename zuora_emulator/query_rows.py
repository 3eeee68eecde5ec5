"""The rows of Object Query: its own names of fields, times with their offset, statuses without blanks."""

from __future__ import annotations

from zuora_emulator.answers import Json, charge_id, text
from zuora_emulator.catalog_answers import queried_rate_plan
from zuora_emulator.money_answers import queried_invoice, queried_item
from zuora_emulator.records import Version
from zuora_emulator.tenant import Tenant


def row_of(tenant: Tenant, kind: str, key: str, expand: set[str] | None = None) -> Json:
    """The row with this id, absent values as None; of rate plans with what `expand` names."""
    if kind == "invoices":
        invoice = tenant.ledger.need("Invoice", key)
        return queried_invoice(invoice, tenant.accounts[invoice.account])
    if kind == "invoice-items":
        found_line = tenant.ledger.find_line(key)
        assert found_line is not None  # noqa: S101 - the index holds only what there is
        return queried_item(*found_line, tenant.accounts[found_line[0].account])
    if kind == "product-rate-plans":
        plan = tenant.catalog.find_plan(key)
        assert plan is not None  # noqa: S101 - the index holds only what there is
        updated = tenant.updated[kind].when(key).isoformat()
        return queried_rate_plan(plan[1], plan[0], expand or set(), updated)
    if kind == "subscriptions":
        found = tenant.find_version(key)
        assert found is not None  # noqa: S101 - the index holds only what there is
        return _subscription(tenant, found[1], found[1] is found[0].latest)
    if kind == "accounts":
        account = tenant.find_account(key)
        assert account is not None  # noqa: S101 - as above
        return {
            "id": account.id,
            "accountNumber": account.number,
            "name": account.name,
            "currency": account.currency,
            "billCycleDay": account.bill_cycle_day,
            "billToId": account.bill_to,
            "soldToId": account.sold_to,
            "crmId": account.crm_id or None,
            "status": "Active",
            "createdDate": account.created.isoformat(),
            "updatedDate": account.updated.isoformat(),
        }
    contact = tenant.find_contact(key)
    assert contact is not None  # noqa: S101 - as above
    return {
        "id": contact.id,
        "accountId": tenant.accounts[contact.account_number].id,
        "firstName": contact.first_name,
        "lastName": contact.last_name,
        "address1": contact.address1,
        "address2": contact.address2,
        "city": contact.city,
        "county": contact.county,
        "state": contact.state,
        "postalCode": contact.postal_code,
        "country": contact.country,
        "workEmail": contact.work_email,
        "personalEmail": contact.personal_email,
        "workPhone": contact.work_phone,
        "mobilePhone": contact.mobile_phone,
        "homePhone": contact.home_phone,
        "otherPhone": contact.other_phone,
        "createdDate": contact.created.isoformat(),
        "updatedDate": contact.updated.isoformat(),
    }


def _subscription(tenant: Tenant, version: Version, latest: bool) -> Json:
    order = tenant.orders.get(version.order_number or "", {})
    first = tenant.subscriptions[version.number].versions[0]
    return {
        "id": version.id,
        "name": version.number,
        "accountId": tenant.accounts[version.account].id,
        "invoiceOwnerId": tenant.accounts[version.invoice_owner].id,
        "status": version.status_on(tenant.today).replace(" ", "") if latest else "Expired",
        "version": version.version,
        "revision": f"{version.version}.0",
        "isLatestVersion": latest,
        "isSingleVersioned": False,
        "originalId": first.id,
        "previousSubscriptionId": version.previous_id,
        "autoRenew": version.auto_renew,
        "currency": version.currency,
        "termType": version.term_type,
        "contractEffectiveDate": text(version.start),
        "subscriptionStartDate": text(version.start),
        "subscriptionEndDate": text(version.term_end),
        "termStartDate": text(version.term_start),
        "termEndDate": text(version.term_end),
        "cancelledDate": text(version.cancelled_on),
        "currentTerm": version.current_term,
        "currentTermPeriodType": version.term_period,
        "renewalTerm": version.renewal_term,
        "renewalTermPeriodType": version.renewal_period or version.term_period,
        "renewalSetting": version.renewal_setting,
        "billToContactId": version.bill_to,
        "soldToContactId": version.sold_to,
        "createdById": order.get("createdBy"),
        "updatedById": order.get("updatedBy"),
        "originalCreatedDate": first.created.isoformat(),
        "createdDate": version.created.isoformat(),
        "updatedDate": version.updated.isoformat(),
        **{name[0].lower() + name[1:]: value for name, value in version.custom_fields.items()},
    }


def expand_row(tenant: Tenant, row: Json, key: str, expand: set[str]) -> None:
    """Put what belongs to a subscription into its row."""
    found = tenant.find_version(key)
    assert found is not None  # noqa: S101 - its row was just made
    version = found[1]
    account = tenant.accounts[version.account]
    if expand & {"account", "account.billto", "account.soldto"}:
        row["account"] = row_of(tenant, "accounts", account.id) | {
            name: row_of(tenant, "contacts", contact)
            for name, contact in (("billTo", account.bill_to), ("soldTo", account.sold_to))
            if f"account.{name.lower()}" in expand and contact is not None
        }
    for name, contact in (("billToContact", version.bill_to), ("soldToContact", version.sold_to)):
        if name.lower() in expand and contact is not None:
            row[name] = row_of(tenant, "contacts", contact)
    if "invoiceowner" in expand:
        row["invoiceOwner"] = row_of(tenant, "accounts", tenant.accounts[version.invoice_owner].id)
    if "order" in expand and (order := tenant.orders.get(version.order_number or "")):
        custom = {name[0].lower() + name[1:]: value for name, value in order["customFields"].items()}
        row["order"] = {"orderNumber": order["orderNumber"], "createdById": order["createdBy"], **custom}
    if "rateplans" in expand:
        row["ratePlans"] = [
            {
                "name": plan.name,
                "subscriptionRatePlanNumber": plan.number,
                "ratePlanCharges": [
                    {"id": charge_id(version, each), "chargeNumber": each.number, "name": each.name}
                    for each in plan.charges
                ],
            }
            for plan in version.rate_plans
        ]
