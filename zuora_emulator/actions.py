"""What a person or a test may do to the tenant, by name, and the callouts that follow from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields as fields_of
from dataclasses import replace
from datetime import date, timedelta
from itertools import islice
from typing import Any

from zuora_emulator import bill_runs, orders, people, shop
from zuora_emulator.answers import Json
from zuora_emulator.callouts import Callouts
from zuora_emulator.delivery import Destination, describe
from zuora_emulator.faults import Faults
from zuora_emulator.fields import Fields, Refused
from zuora_emulator.notifications import Notifications
from zuora_emulator.order_records import By
from zuora_emulator.records import Account, Contact
from zuora_emulator.tenant import Tenant
from zuora_emulator.traffic import Limits, Traffic
from zuora_emulator.zuora_api import ZuoraApi


class Actions:
    """The control side: `do` runs one action and returns what it did as JSON."""

    def __init__(
        self, tenant: Tenant, api: ZuoraApi, faults: Faults, traffic: Traffic, notifications: Notifications
    ) -> None:
        self.tenant, self.api, self.faults, self.traffic = tenant, api, faults, traffic
        self.notifications = notifications
        self.announcements = api.announcements
        self.callouts: Callouts = notifications.callouts

    def do(self, action: str, values: dict[str, Any]) -> Json:
        """Run an action of `NAMES`. Raises Refused."""
        with self.tenant.lock:
            fields = Fields(values, today=self.tenant.today)
            if action in orders.ORDER_ACTIONS or action in _WITH_OWN_WORDS:
                return self._order(action, fields)
            if action not in _OTHERS:
                raise Refused(f"no such action; there are: {', '.join(sorted(NAMES))}", 50000040)
            return _OTHERS[action](self, fields)

    def advance(self, to: date, *, bill: bool = False, callout: bool = True) -> Json:
        """Move the calendar, renewing on the way; with `bill`, everything due is billed at the end."""
        with self.tenant.lock:
            done = orders.advance(self.tenant, to)
            if bill:
                self._bill(to, None, None)
            if callout:
                for order in done:
                    self.announcements.order(order)
            return {"today": to.isoformat(), "renewed": len(done)}

    def _order(self, action: str, fields: Fields) -> Json:
        by, callout = By.read(fields), fields.flag("callout", True)
        if action == "create_subscription":
            order = orders.create_subscription(self.tenant, fields, by)
        else:
            subscription = orders.need_subscription(self.tenant, fields.need("key"))
            if action == "auto_renew":
                wanted = fields.flag("value")
                if wanted is None:
                    raise Refused("value is missing: on or off", 50000022)
                fields.finish()
                action, fields = "change_terms", Fields({"auto_renew": wanted}, today=self.tenant.today)
            order = orders.place(self.tenant, subscription, action, fields, by)
        if callout:
            self.announcements.order(order)
        return {"order": order, "subscription": order["subscriptions"][0]["subscriptionNumber"]}

    def _storm(self, fields: Fields) -> Json:
        """The same order `action` (renew) for `count` subscriptions in stock from the place `first` on.

        Every other field is the action's; one that refuses is passed over.
        """
        action = fields.one_of("action", orders.ORDER_ACTIONS, "renew")
        count, first = fields.whole("count", 100) or 0, fields.whole("first", 0) or 0
        rest = fields.rest()
        done = 0
        for number in islice(self.tenant.stock_numbers(), first, first + count):
            try:
                self._order(action, Fields({**rest, "key": number}, today=self.tenant.today))
                done += 1
            except Refused:
                continue
        return {"asked": count, "done": done}

    def _delete_order(self, fields: Fields) -> Json:
        """Zuora sends no callout for a deleted order; `callout` sends one all the same."""
        subscription = orders.need_subscription(self.tenant, fields.need("key"))
        callout, expected = fields.flag("callout", False), fields.text("expected")
        fields.finish()
        order = orders.withdraw(self.tenant, subscription, expected=expected)
        if callout:
            self.announcements.order(order)
        return {"deleted": order["orderNumber"], "version": subscription.latest.version}

    def _withdraw_cancel(self, fields: Fields) -> Json:
        key, callout = fields.need("key"), fields.flag("callout", False)
        fields.finish()
        asked = {"key": key, "callout": callout, "expected": "CancelSubscription"}
        return self._delete_order(Fields(asked, today=self.tenant.today))

    def _change_contact(self, fields: Fields) -> Json:
        by, callout = By.read(fields), fields.flag("callout", True)
        contacts, accounts = self._people_before(fields)
        done = people.change_contact(self.tenant, fields, by)
        if callout and "order" in done:
            self.announcements.order(done["order"])
        elif callout:
            before = [each for each in contacts.values() if each.account_number == done["account"]]
            self.announcements.edited(done["account"], accounts.get(done["account"]), before)
        return done

    def _rename_account(self, fields: Fields) -> Json:
        callout = fields.flag("callout", True)
        _, accounts = self._people_before(fields)
        done = people.rename_account(self.tenant, fields)
        if callout:
            self.announcements.edited(done["account"], accounts.get(done["account"]), ())
        return done

    def _people_before(self, fields: Fields) -> tuple[dict[str, Contact], dict[str, Account]]:
        """Contacts by id and accounts by number as they are, those of `key` taken out of stock."""
        key = fields.text("key") or ""
        if self.tenant.find_account(key) is None:
            self.tenant.find_subscription(key)
        return dict(self.tenant.contacts), dict(self.tenant.accounts)

    def _communication_profile(self, fields: Fields) -> Json:
        """Give the account of `key` the communication profile of `name`, which is made if need be."""
        account = self.tenant.find_account(fields.need("key"))
        name = fields.need("name")
        fields.finish()
        if account is None:
            raise Refused("there is no such account", 50000040)
        return {"account": account.number, "profile": self.notifications.store.give_profile(account.number, name)}

    def _create_account(self, fields: Fields) -> Json:
        return people.create_account(self.tenant, fields)

    def _product(self, fields: Fields) -> Json:
        """Put a charge of a rate plan into the catalog: see `products.Catalog.add`."""
        product, plan, charge = self.tenant.put_product(fields)
        return {"product": product.id, "plan": plan.id, "charge": charge.id}

    def _payment_method(self, fields: Fields) -> Json:
        """Make or change a payment method: see `payment_methods.PaymentMethods.change`.

        `default` makes its account pay with it.
        """
        default = fields.flag("default", False)
        method = self.tenant.put_payment_method(fields)
        if default:
            self.tenant.pay_with(method)
        return {"id": method.id}

    def _shop(self, fields: Fields) -> Json:
        """Fill the catalog with what the demo's shop sells, and give every account a card: see `shop`."""
        fields.finish()
        shop.fill_catalog(self.tenant)
        shop.fill_payment_methods(self.tenant)
        return {"cards": shop.CARDS, "plans": [plan.id for _, plan in self.tenant.catalog.plans()]}

    def _activate(self, fields: Fields) -> Json:
        """Let the pending subscription `key` begin, as an agent does once the service runs."""
        subscription = orders.need_subscription(self.tenant, fields.need("key"))
        fields.finish()
        order = orders.activate(self.tenant, subscription)
        self.announcements.order(order)
        return {"subscription": subscription.number, "order": order["orderNumber"]}

    def _bill_run(self, fields: Fields) -> Json:
        target = fields.day("target", self.tenant.today) or self.tenant.today
        account, key = fields.text("account"), fields.text("key")
        fields.finish()
        return {"billed": self._bill(target, account, key)}

    def _bill(self, target: date, account: str | None, key: str | None) -> int:
        """Bill one subscription, one account or all up to a day; how many changed."""
        if key:
            among = [orders.need_subscription(self.tenant, key)]
        elif account:
            among = self.tenant.invoiced_to(account)
        else:
            self.tenant.load_stock()
            among = list(self.tenant.subscriptions.values())
        payers = bill_runs.run(self.tenant, among, target)
        self.announcements.billed(payers)
        return len(payers)

    def _advance(self, fields: Fields) -> Json:
        days = fields.whole("days")
        to = fields.day("to", self.tenant.today + timedelta(days=days or 0)) or self.tenant.today
        bill, callout = bool(fields.flag("bill", False)), bool(fields.flag("callout", True))
        fields.finish()
        return self.advance(to, bill=bill, callout=callout)

    def _preview_rows(self, fields: Fields) -> Json:
        """Lines in Zuora's shape for the subscription `key`; without `rows` the computed ones come back."""
        number, rows = orders.need_subscription(self.tenant, fields.need("key")).number, fields.raw("rows")
        fields.finish()
        self.tenant.preview_rows.pop(number, None)
        if rows is not None:
            if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
                raise Refused("rows is no list of objects", 50000020)
            self.tenant.preview_rows[number] = rows
        return {"subscription": number, "rows": rows}

    def _custom_fields(self, fields: Fields) -> Json:
        """Custom fields edited outside of an order: an update without a version, and no callout."""
        subscription, values = orders.need_subscription(self.tenant, fields.need("key")), fields.raw("fields")
        fields.finish()
        if not isinstance(values, dict):
            raise Refused("fields is no object", 50000020)
        latest = subscription.latest
        self.tenant.touch(subscription, replace(latest, custom_fields={**latest.custom_fields, **values}))
        return {"subscription": subscription.number}

    def _forget(self, fields: Fields) -> Json:
        subscription = orders.need_subscription(self.tenant, fields.need("key"))
        fields.finish()
        self.tenant.forget_subscription(subscription)
        return {"forgotten": subscription.number}

    def _fault(self, fields: Fields) -> Json:
        self.faults.add(fields)
        return {"faults": self.faults.listed()}

    def _clear_faults(self, fields: Fields) -> Json:
        seed = fields.whole("seed")
        fields.finish()
        self.faults.clear(seed)
        return {"faults": []}

    def _callouts(self, fields: Fields) -> Json:
        """Other settings of `delivery.Destination`; a dash empties a text."""
        values: dict[str, Any] = {}
        for each in fields_of(Destination):
            default = getattr(self.callouts.destination, each.name)
            given = fields.raw(each.name)
            if given is None:
                continue
            if isinstance(default, bool):
                values[each.name] = fields.flag(each.name)
            elif isinstance(default, int):
                values[each.name] = fields.whole(each.name)
            elif isinstance(default, float):
                values[each.name] = fields.share(each.name, default)
            else:
                values[each.name] = given if isinstance(given, dict) else "" if given == "-" else str(given)
        fields.finish()
        return describe(self.callouts.change(**values))

    def _resend(self, fields: Fields) -> Json:
        fields.finish()
        return {"resent": self.callouts.resend()}

    def _clear_callouts(self, fields: Fields) -> Json:
        fields.finish()
        self.callouts.clear()
        return {}

    def _limits(self, fields: Fields) -> Json:
        """Other limits of `traffic.Limits`."""
        given = {each.name: fields.whole(each.name) for each in fields_of(Limits)}
        fields.finish()
        changed: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        self.traffic.limits = replace(self.traffic.limits, **changed)
        return dict(self.traffic.listed()["limits"])

    def _reset_counts(self, fields: Fields) -> Json:
        fields.finish()
        self.traffic.reset()
        return {}

    def _expire_tokens(self, fields: Fields) -> Json:
        """Every token is refused from now on; `seconds` is how long new ones live."""
        self.api.access.seconds = fields.whole("seconds") or self.api.access.seconds
        fields.finish()
        self.api.access.tokens.clear()
        return {"seconds": self.api.access.seconds}

    def _settings(self, fields: Fields) -> Json:
        """`preview_rows` (the most of one preview), `default_version`, `tenant` (the number in a token's scope),
        `order_fields` (the custom fields that orders have; a dash is none), `requires_activation`, `decline_code`,
        `replays_as_conflict` (a repeated idempotency key gets 409 with the first answer)."""
        self.api.preview_rows = fields.whole("preview_rows") or self.api.preview_rows
        self.api.default_version = fields.text("default_version") or self.api.default_version
        self.tenant.number = fields.text("tenant") or self.tenant.number
        custom = fields.text("order_fields")
        if custom is not None:
            self.tenant.custom_fields["Order"] = tuple(word for word in custom.split(",") if word != "-")
        tenant, keys = self.tenant, self.api.keys
        tenant.requires_activation = bool(fields.flag("requires_activation", tenant.requires_activation))
        tenant.decline_code = fields.whole("decline_code") or tenant.decline_code
        keys.replays_as_conflict = bool(fields.flag("replays_as_conflict", keys.replays_as_conflict))
        fields.finish()
        return {"preview_rows": self.api.preview_rows, "default_version": self.api.default_version}


_WITH_OWN_WORDS = ("create_subscription", "auto_renew")
_OTHERS: dict[str, Callable[[Actions, Fields], Json]] = {
    "create_account": Actions._create_account,
    "change_contact": Actions._change_contact,
    "change_address": Actions._change_contact,
    "change_name": Actions._change_contact,
    "rename_account": Actions._rename_account,
    "communication_profile": Actions._communication_profile,
    "storm": Actions._storm,
    "delete_order": Actions._delete_order,
    "withdraw_cancel": Actions._withdraw_cancel,
    "shop": Actions._shop,
    "activate": Actions._activate,
    "product": Actions._product,
    "payment_method": Actions._payment_method,
    "bill_run": Actions._bill_run,
    "advance": Actions._advance,
    "preview_rows": Actions._preview_rows,
    "custom_fields": Actions._custom_fields,
    "forget": Actions._forget,
    "fault": Actions._fault,
    "clear_faults": Actions._clear_faults,
    "callouts": Actions._callouts,
    "resend": Actions._resend,
    "clear_callouts": Actions._clear_callouts,
    "limits": Actions._limits,
    "reset_counts": Actions._reset_counts,
    "expire_tokens": Actions._expire_tokens,
    "settings": Actions._settings,
}
#: Every action.
NAMES = (*orders.ORDER_ACTIONS, *_WITH_OWN_WORDS, *_OTHERS)
