"""How each journey decides: dates, refusals, settings, and what is asked of Zuora first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from sync_service.commerce.order import ProblemCode, Refusal
from sync_service.commerce.outcome import adopt, complete, outcome
from sync_service.commerce.state import InStore, Options, State, missing
from sync_service.commerce.steps import Answer, Ask, Done, Heard, Plan, Step
from tests.unit.commerce import world
from tests.unit.commerce.world import (
    ANNUAL,
    AUDIO,
    CANCEL_ORDER,
    COLLECTING,
    EXAMPLES,
    GIFT,
    MONTHLY,
    NUMBER,
    OPTIONS,
    SAVE,
    SEATS,
    TODAY,
    a_catalog,
    a_charge,
    a_price,
    a_rate_plan,
    a_subscription,
    an_account,
    an_offer,
    an_order,
    hex_of,
    in_store,
    months,
    names,
    ref,
)

E1 = EXAMPLES[0]["limio_order"]
SUB = {"forSubscription": {"name": NUMBER}}
SWITCH = {"order_type": "change_offer", "offer": ref(ANNUAL), **SUB}
CANCEL = {"order_type": "cancel_subscription", **SUB}
CARD = {"payment": {"type": "zuora", "zuora": {"refId": "{new}", "paymentGateway": "CreditCard_UK"}}}
CANCELLED_LATER = a_subscription(
    orderNumber="O-00000012",
    termEndDate="2027-01-16",
    statusHistory=[{"status": "Cancelled", "startDate": "2027-01-16", "endDate": None}],
)
PAID_BY_A_PARTNER = a_subscription(invoiceOwnerAccountNumber="A-PARTNER")
EVERGREEN = a_subscription(termType="EVERGREEN", termEndDate=None, renewalTerm=None)


def place(payload: Mapping[str, Any], *numbers: str, may_refund: bool = False, **how: Any) -> Plan:
    made = world.plan(an_order(payload, names("2C50V1J7K3C0", *numbers), may_refund=may_refund), **how)
    assert isinstance(made, Plan), made
    return made


def refused(payload: Mapping[str, Any], *numbers: str, **how: Any) -> tuple[ProblemCode, str]:
    made = world.plan(an_order(payload, names("2C50V1J7K3C0", *numbers)), **how)
    assert isinstance(made, Refusal), made
    return made.problems[0].code, made.problems[0].message


def bodies(plan: Plan) -> list[Mapping[str, Any]]:
    return [step.body or {} for step in plan.steps]


def actions(step: Step) -> list[tuple[str, str]]:
    """The types of a step's order actions, each with its day."""
    return [
        (action["type"], action["triggerDates"][0]["triggerDate"])
        for part in (step.body or {})["subscriptions"]
        for action in part["orderActions"]
    ]


class TestDates:
    def test_a_switch_at_once_happens_today(self) -> None:
        catalog = a_catalog(an_offer(ANNUAL, switch_date__limio="immediate"))

        assert {day for _, day in actions(place(SWITCH, catalog=catalog).steps[0])} == {"2026-12-01"}

    @pytest.mark.parametrize(
        ("wished", "day"), [("2026-01-01", "2026-03-01"), ("2028-01-01", "2027-03-01"), ("2027-03-01", "2027-03-01")]
    )
    def test_a_day_outside_of_the_term_is_moved_to_its_nearest_end_with_a_warning(self, wished: str, day: str) -> None:
        plan = place({**SWITCH, "effectiveDate": wished})

        assert {each for _, each in actions(plan.steps[0])} == {day}
        assert bool(plan.warnings) is (wished != day)

    def test_a_switch_waits_for_the_end_of_what_is_billed_of_the_offer_and_not_of_an_add_on(self) -> None:
        monthly = a_rate_plan("M", "SRP-00000001", a_charge("M", "C-00000001"))
        ahead = a_rate_plan("U", "SRP-00000002", a_charge("U", "C-00000002", chargedThroughDate="2027-03-01"))

        plan = place(SWITCH, zuora={"subscription": a_subscription(ratePlans=[monthly, ahead])})

        assert {day for _, day in actions(plan.steps[0])} == {"2026-12-16"}

    def test_where_nothing_is_billed_yet_the_next_payment_of_the_schedule_counts(self) -> None:
        entry = {"status": "pending-external", "data": {"date": "2026-12-20T00:00:00.000"}}
        past = {"status": "pending-external", "data": {"date": "2026-11-20T00:00:00.000"}}
        gone = {"status": "cancelled", "data": {"date": "2026-12-05T00:00:00.000"}}
        unbilled = a_subscription(ratePlans=[a_rate_plan("M", "SRP-1", a_charge("M", "C-1", chargedThroughDate=None))])

        plan = place(SWITCH, store=in_store(schedule=(past, gone, entry)), zuora={"subscription": unbilled})

        assert {day for _, day in actions(plan.steps[0])} == {"2026-12-20"}

    def test_without_any_payment_to_come_it_is_the_end_of_the_term(self) -> None:
        unbilled = a_subscription(ratePlans=[a_rate_plan("M", "SRP-1", a_charge("M", "C-1", chargedThroughDate=None))])

        plan = place(SWITCH, zuora={"subscription": unbilled})

        assert {day for _, day in actions(plan.steps[0])} == {"2027-03-01"}

    @pytest.mark.parametrize(("subscription", "day"), [(a_subscription(), "2027-03-01"), (EVERGREEN, "2026-12-16")])
    def test_a_cancellation_without_a_date_is_at_the_end_of_the_term_or_of_what_is_billed(
        self, subscription: dict[str, Any], day: str
    ) -> None:
        [body] = bodies(place(CANCEL, zuora={"subscription": subscription}))

        [action] = body["subscriptions"][0]["orderActions"]
        assert action["cancelSubscription"]["cancellationEffectiveDate"] == day


class TestRefusals:
    def test_what_has_ended_is_renewed_and_not_changed(self) -> None:
        ended = {"subscription": a_subscription(autoRenew=False, termEndDate="2026-11-01", statusHistory=[])}

        assert refused(SWITCH, zuora=ended)[0] is ProblemCode.NOT_ALLOWED
        assert refused({**SWITCH, "order_type": "add_offer", "offer": ref(SAVE)}, zuora=ended)[0] is (
            ProblemCode.NOT_ALLOWED
        )

    def test_a_suspended_subscription_is_not_changed(self) -> None:
        code, message = refused(SWITCH, zuora={"subscription": a_subscription(status="Suspended")})

        assert code is ProblemCode.NOT_ALLOWED
        assert "Suspended" in message

    def test_a_number_that_zuora_does_not_know_is_unknown(self) -> None:
        assert refused(CANCEL, zuora={"subscription": None})[0] is ProblemCode.UNKNOWN

    def test_a_plan_that_was_renamed_is_named_before_anything_is_sent(self) -> None:
        catalog = replace(a_catalog(), rate_plans={**a_catalog().rate_plans, "product-A": ()})

        code, message = refused(SWITCH, catalog=catalog)

        assert code is ProblemCode.CATALOG
        assert "“Plan A”" in message

    @pytest.mark.parametrize("day", ["2026-02-28", "2027-03-02"])
    def test_a_cancellation_outside_of_the_term_is_refused(self, day: str) -> None:
        assert refused({**CANCEL, "cancelDate": day})[0] is ProblemCode.INVALID

    def test_another_day_than_the_one_that_zuora_has_is_refused(self) -> None:
        code, message = refused({**CANCEL, "cancelDate": "2026-12-16"}, zuora={"subscription": CANCELLED_LATER})

        assert code is ProblemCode.NOT_ALLOWED
        assert "2027-01-16" in message

    def test_a_reactivation_is_refused_where_the_cancellation_is_not_the_latest_change(self) -> None:
        later = {**CANCELLED_LATER, "orderNumber": "O-00000013"}

        code, message = refused(SWITCH, zuora={"subscription": later})

        assert code is ProblemCode.NOT_ALLOWED
        assert "changed after it" in message

    @pytest.mark.parametrize("subscription", [EVERGREEN, a_subscription(renewalTerm=0), CANCELLED_LATER])
    def test_what_has_no_next_term_cannot_be_renewed(self, subscription: dict[str, Any]) -> None:
        payload = {"order_type": "renew", "orderItems": [{"offer": ref(ANNUAL)}], **SUB}

        assert refused(payload, NUMBER, zuora={"subscription": subscription})[0] is ProblemCode.NOT_ALLOWED

    @pytest.mark.parametrize(
        ("invoice", "code"),
        [
            (None, ProblemCode.UNKNOWN),
            ({**world.INVOICE, "status": "Draft"}, ProblemCode.NOT_ALLOWED),
            ({**world.INVOICE, "balance": 10}, ProblemCode.INVALID),
        ],
    )
    def test_no_more_of_an_invoice_is_paid_than_is_open(self, invoice: Any, code: ProblemCode) -> None:
        payload = {"order_type": "pay_invoice", "invoice": {"id": "{inv}"}, "payment": {"amount": 17.5}}

        assert refused(payload, store=InStore(), zuora={"invoice": invoice})[0] is code

    def test_an_invoice_of_another_account_than_the_subscriptions_is_not_paid(self) -> None:
        payload = {"order_type": "pay_invoice", "invoice": {"id": "{inv}"}, "payment": {"amount": 17.5}, **SUB}
        foreign = {**world.INVOICE, "accountId": hex_of("another account")}

        code, message = refused(payload, zuora={"invoice": foreign})

        assert (code, message) == (
            ProblemCode.NOT_ALLOWED,
            "The invoice is not one of the account that pays for the subscription.",
        )
        assert [step.name for step in place(payload, zuora={"invoice": world.INVOICE}).steps] == ["payment"]

    @pytest.mark.parametrize(
        "payload",
        [
            {"order_type": "add_offer", "offer": ref(SAVE)},
            {"order_type": "update_subscription", "updates": [{"type": "add", "record_type": "add_on", **ref(AUDIO)}]},
            {"order_type": "renew"},
        ],
    )
    def test_what_zuora_is_about_to_cancel_takes_nothing_but_a_switch(self, payload: dict[str, Any]) -> None:
        code, message = refused({**payload, **SUB}, zuora={"subscription": CANCELLED_LATER})

        assert code is ProblemCode.NOT_ALLOWED
        assert "a change_offer order takes that back" in message

    def test_what_the_subscription_does_not_hold_cannot_be_removed(self) -> None:
        updates = [{"type": "remove", "record_type": "add_on", "id": "add_on-other"}]

        assert refused({"order_type": "update_subscription", "updates": updates, **SUB})[0] is ProblemCode.UNKNOWN

    def test_of_two_equal_add_ons_none_is_removed_by_guess(self) -> None:
        plans = [*a_subscription()["ratePlans"], a_rate_plan("U", "SRP-00000003", a_charge("U", "C-3"))]
        updates = [{"type": "remove", "record_type": "add_on", "id": AUDIO["id"]}]
        payload = {"order_type": "update_subscription", "updates": updates, **SUB}

        code, message = refused(payload, zuora={"subscription": a_subscription(ratePlans=plans)})

        assert code is ProblemCode.CATALOG
        assert "SRP-00000002 and SRP-00000003" in message

    def test_an_unknown_gateway_is_named(self) -> None:
        options = replace(OPTIONS, payment_profiles=True)
        payload = {"order_type": "change_payment", **CARD, **SUB}

        code, message = refused(payload, options=options, zuora={"gateways": {"paymentgateways": []}})

        assert code is ProblemCode.UNKNOWN
        assert "CreditCard_UK" in message

    def test_offers_of_two_currencies_are_no_one_order(self) -> None:
        items = [{"offer": ref(MONTHLY)}, {"offer": ref(SEATS), "quantity": 1}]

        assert refused({**E1, "orderItems": items}, NUMBER, "3C1EQEBLLT60")[0] is ProblemCode.INVALID

    def test_a_person_without_a_last_name_can_have_no_account(self) -> None:
        payload = {**E1, "customerDetails": {"firstName": "Ada"}, "billingDetails": {"city": "London"}}

        assert refused(payload, NUMBER)[0] is ProblemCode.MISSING


class TestSwitching:
    def test_an_add_on_that_does_not_go_with_the_new_offer_goes(self) -> None:
        catalog = a_catalog(an_offer(ANNUAL, cross_sell_addons__limio={"items": [{"id": "other"}]}))

        [body] = bodies(place(SWITCH, catalog=catalog))

        removed = [
            action["removeProduct"]["subscriptionRatePlanNumber"]
            for action in body["subscriptions"][0]["orderActions"]
            if action["type"] == "RemoveProduct"
        ]
        assert removed == ["SRP-00000001", "SRP-00000002"]

    def test_a_dead_rate_plan_is_not_removed_again(self) -> None:
        dead = a_charge("M", "C-0", effectiveEndDate="2026-10-01")
        plans = [a_rate_plan("M", "SRP-00000000", dead), *a_subscription()["ratePlans"]]

        [body] = bodies(place(SWITCH, zuora={"subscription": a_subscription(ratePlans=plans)}))

        assert [kind for kind, _ in actions(place(SWITCH).steps[0])] == [
            "TermsAndConditions",
            "RemoveProduct",
            "AddProduct",
        ]
        assert body["subscriptions"][0]["orderActions"][1]["removeProduct"] == {
            "subscriptionRatePlanNumber": "SRP-00000001"
        }

    def test_without_the_offer_in_our_store_the_only_base_plan_is_the_one(self) -> None:
        [body] = bodies(place(SWITCH, store=in_store(offers=())))

        assert body["subscriptions"][0]["orderActions"][1]["removeProduct"] == {
            "subscriptionRatePlanNumber": "SRP-00000001"
        }

    def test_what_zuora_sells_no_longer_is_still_known_by_product_and_name(self) -> None:
        plans = [{**each, "productId": f"product-{each['ratePlanName'][-1]}"} for each in a_subscription()["ratePlans"]]
        catalog = replace(a_catalog(), rate_plans={**a_catalog().rate_plans, "product-M": ()})

        [body] = bodies(place(SWITCH, catalog=catalog, zuora={"subscription": a_subscription(ratePlans=plans)}))

        assert body["subscriptions"][0]["orderActions"][1]["removeProduct"] == {
            "subscriptionRatePlanNumber": "SRP-00000001"
        }

    def test_of_several_candidates_none_is_guessed(self) -> None:
        code, message = refused(SWITCH, store=in_store(offers=(), add_ons=()))

        assert code is ProblemCode.CATALOG
        assert "SRP-00000001" in message
        assert "SRP-00000002" in message

    def test_a_cancellation_of_terms_and_conditions_is_cleared_in_the_same_order(self) -> None:
        scheduled = {**CANCELLED_LATER, "scheduledCancelDate": "2027-01-16"}

        [step] = place(SWITCH, zuora={"subscription": scheduled}).steps

        cleared = (step.body or {})["subscriptions"][0]["orderActions"][0]
        assert cleared["termsAndConditions"] == {"clearingScheduledCancelDate": True}

    def test_the_order_that_cancelled_is_found_among_others(self) -> None:
        other = {**CANCEL_ORDER, "orderNumber": "O-00000011"}
        orders = {"orders": [other, CANCEL_ORDER]}

        deletion, _ = place(SWITCH, zuora={"subscription": CANCELLED_LATER, "orders": orders}).steps

        assert deletion.path == "/v1/orders/O-00000012"

    def test_an_address_that_a_switch_brings_follows_and_cannot_fail_it(self) -> None:
        moved = {"deliveryDetails": {"firstName": "Ada", "lastName": "Lovelace", "address1": "2 Low Road"}}

        order, contact, account = place({**SWITCH, **moved}).steps

        assert order.critical
        assert not contact.critical
        assert not account.critical

    def test_an_address_that_zuora_has_already_is_not_made_again(self) -> None:
        same = {"deliveryDetails": {"firstName": "Ada", "address1": "1 High Street", "country": "GB"}}

        assert len(place({**SWITCH, **same}).steps) == 1

    def test_an_offer_replaced_by_an_update_brings_its_term(self) -> None:
        updates = [
            {"type": "remove", "record_type": "offer", "id": MONTHLY["id"], "effective_date": "2026-12-16"},
            {"type": "add", "record_type": "offer", **ref(ANNUAL), "effective_date": "2026-12-16"},
        ]

        [step] = place({"order_type": "update_subscription", "updates": updates, **SUB}).steps

        assert [kind for kind, _ in actions(step)] == ["TermsAndConditions", "RemoveProduct", "AddProduct"]


class TestRenewing:
    def test_the_same_offer_is_renewed_alone(self) -> None:
        payload = {"order_type": "renew", "orderItems": [{"offer": ref(MONTHLY)}], **SUB}

        assert actions(place(payload, NUMBER).steps[0]) == [("RenewSubscription", "2027-03-01")]
        assert actions(place({"order_type": "renew", **SUB}, NUMBER).steps[0]) == [("RenewSubscription", "2027-03-01")]

    def test_another_offer_on_the_same_rate_plan_brings_its_price(self) -> None:
        cheaper = {**an_offer(MONTHLY, price__limio=a_price("9")).document, "id": "9" * 40}
        catalog = a_catalog(an_offer(cheaper))
        payload = {"order_type": "renew", "orderItems": [{"offer": ref(cheaper)}], **SUB}

        kinds = [kind for kind, _ in actions(place(payload, NUMBER, catalog=catalog).steps[0])]

        assert kinds == ["RenewSubscription", "RemoveProduct", "AddProduct"]

    def test_the_old_rate_plan_stays_where_the_tenant_wants_it(self) -> None:
        payload = {"order_type": "renew", "orderItems": [{"offer": ref(ANNUAL)}], **SUB}
        options = replace(OPTIONS, renewal_removes_old_plan=False)

        kinds = [kind for kind, _ in actions(place(payload, NUMBER, options=options).steps[0])]

        assert kinds == ["RenewSubscription", "AddProduct"]


class TestCancelling:
    def test_what_zuora_has_cancelled_for_that_day_is_done(self) -> None:
        plan = place({**CANCEL, "cancelDate": "2027-01-16"}, zuora={"subscription": CANCELLED_LATER})

        assert plan.steps == ()
        assert plan.warnings
        assert place(CANCEL, zuora={"subscription": CANCELLED_LATER}).steps == ()

    def test_a_day_that_is_billed_already_is_credited(self) -> None:
        [body] = bodies(place({**CANCEL, "cancelDate": "2026-12-05"}))

        assert body["processingOptions"] == {
            "runBilling": True,
            "collectPayment": False,
            "billingOptions": {"targetDate": "2026-12-01"},
        }

    @pytest.mark.parametrize(("day", "through"), [("2026-12-01", "2026-12-01"), ("2026-12-10", "2026-12-10")])
    def test_the_preview_reaches_to_the_cancellation(self, day: str, through: str) -> None:
        options = replace(OPTIONS, refund_cancelled=True)

        preview, order = place({**CANCEL, "cancelDate": day}, options=options, may_refund=True).steps

        assert (preview.body or {})["previewOptions"]["specificPreviewThruDate"] == through
        assert [need.step for need in order.needs] == ["preview"]


class TestSettings:
    """One example for each setting of how orders are placed."""

    def test_collect_payment(self) -> None:
        assert bodies(place(E1, NUMBER, options=COLLECTING))[0]["processingOptions"]["collectPayment"] is True
        assert bodies(place(E1, NUMBER))[0]["processingOptions"]["collectPayment"] is False

    @pytest.mark.parametrize(
        "payload",
        [
            {**E1, "orderDate": "2026-12-02"},
            {**E1, "payment": {"type": "invoice"}},
        ],
    )
    def test_nothing_is_collected_for_later_or_where_an_invoice_is_paid(self, payload: dict[str, Any]) -> None:
        [body] = bodies(place(payload, NUMBER, options=COLLECTING))

        assert body["processingOptions"] == {"runBilling": False, "collectPayment": False}

    def test_a_switch_is_not_collected_from_an_account_without_a_method(self) -> None:
        account = {"account": an_account(defaultPaymentMethodId=None)}

        [body] = bodies(place({**SWITCH, "effectiveDate": "2026-12-01"}, options=COLLECTING, zuora=account))

        assert body["processingOptions"]["collectPayment"] is False

    def test_one_account_for_each_owner(self) -> None:
        options = replace(OPTIONS, one_account_per_owner=True)

        assert "newAccount" in bodies(place(E1, NUMBER))[0]
        assert bodies(place(E1, NUMBER, options=options))[0]["existingAccountNumber"] == "A00000007"
        assert "newAccount" in bodies(place(E1, NUMBER, options=options, store=InStore()))[0]

    def test_payment_profiles(self) -> None:
        [body] = bodies(place(E1, NUMBER, options=replace(OPTIONS, payment_profiles=True)))

        [action] = body["subscriptions"][0]["orderActions"]
        assert action["createSubscription"]["paymentProfile"] == {
            "paymentMethodId": hex_of("pm"),
            "paymentGatewayId": hex_of("gw"),
        }

    def test_advanced_payment_manager(self) -> None:
        options = replace(OPTIONS, one_account_per_owner=True, advanced_payment_manager=True)

        [body] = bodies(place(E1, NUMBER, options=options))

        assert body["subscriptions"][0]["customFields"] == {
            "PaymentMethodId__c": hex_of("pm"),
            "PaymentGateway__c": "CreditCard_UK",
        }

    def test_disable_auto_pay(self) -> None:
        payload = {"order_type": "change_payment", **CARD, **SUB}

        assert bodies(place(payload))[1]["autoPay"] is True
        assert "autoPay" not in bodies(place(payload, options=replace(OPTIONS, disable_auto_pay=True)))[1]

    def test_refund_cancelled(self) -> None:
        options = replace(OPTIONS, refund_cancelled=True)

        assert [step.name for step in place(CANCEL).steps] == ["order"]
        assert [step.name for step in place(CANCEL, options=options).steps] == ["preview", "order"]

    def test_invoice_payment_method(self) -> None:
        payload = {**E1, "payment": {"type": "invoice"}}
        options = replace(OPTIONS, invoice_payment_method_id="f" * 32)

        account = bodies(place(payload, NUMBER, options=options))[0]["newAccount"]

        assert (account["hpmCreditCardPaymentMethodId"], account["autoPay"]) == ("f" * 32, False)
        assert "hpmCreditCardPaymentMethodId" not in bodies(place(payload, NUMBER))[0]["newAccount"]

    @pytest.mark.parametrize("combined", [True, False])
    def test_combine_invoices(self, combined: bool) -> None:
        [body] = bodies(place(E1, NUMBER, options=replace(OPTIONS, combine_invoices=combined)))

        [action] = body["subscriptions"][0]["orderActions"]
        assert action["createSubscription"]["invoiceSeparately"] is not combined

    def test_one_subscription_for_several_offers(self) -> None:
        items = [{"offer": ref(MONTHLY)}, {"offer": ref(ANNUAL)}]
        same = a_catalog(an_offer(ANNUAL, term__limio=months(1)))
        options = replace(OPTIONS, one_subscription_per_order=True)

        [together] = bodies(place({**E1, "orderItems": items}, NUMBER, catalog=same, options=options))
        [apart] = bodies(place({**E1, "orderItems": items}, NUMBER, "3C1EQEBLLT60"))

        [action] = together["subscriptions"][0]["orderActions"]
        assert len(action["createSubscription"]["subscribeToRatePlans"]) == 2
        assert len(apart["subscriptions"]) == 2
        code, _ = refused({**E1, "orderItems": items}, NUMBER, options=options)
        assert code is ProblemCode.INVALID

    def test_what_is_paid_once_has_no_say_in_the_term(self) -> None:
        once = an_offer(world.GOODWILL, price__limio=a_price("5", kind="onetime"))
        items = [{"offer": ref(MONTHLY)}, {"offer": ref(world.GOODWILL)}]
        options = replace(OPTIONS, one_subscription_per_order=True)

        [body] = bodies(place({**E1, "orderItems": items}, NUMBER, catalog=a_catalog(once), options=options))

        [action] = body["subscriptions"][0]["orderActions"]
        assert action["createSubscription"]["terms"]["initialTerm"]["period"] == 1

    def test_gift_reason_and_code_field(self) -> None:
        options = replace(
            OPTIONS,
            gift_reason_code="Present",
            gift_code_field="Code__c",
            custom_fields=frozenset({"DebitMemo.Code__c"}),
        )
        order = an_order({**E1, "orderItems": [{"offer": ref(GIFT)}]}, names("2C50V1J7K3C0", NUMBER, gift_code="7QK2"))

        made = world.plan(order, options=options)

        assert isinstance(made, Plan)
        memo = made.steps[1].body or {}
        assert (memo["reasonCode"], memo["Code__c"]) == ("Present", "7QK2")

    def test_custom_fields(self) -> None:
        fields = frozenset({"Order.InitiatedSource__c", "Order.ltm_campaign__c", "RatePlan.lmo_offer__c"})
        payload = {**E1, "tracking": {"ltm_campaign": "spring", "ltm_other": "x", "tag": "y"}}

        [body] = bodies(place(payload, NUMBER, options=replace(OPTIONS, custom_fields=fields)))
        [bare] = bodies(place(payload, NUMBER, options=Options()))

        assert body["customFields"] == {"InitiatedSource__c": "shop", "ltm_campaign__c": "spring"}
        [action] = body["subscriptions"][0]["orderActions"]
        assert action["createSubscription"]["subscribeToRatePlans"][0]["customFields"] == {"lmo_offer__c": "/offers2/M"}
        assert "customFields" not in bare


class TestPayments:
    def test_a_new_card_is_given_to_the_account_before_it_pays(self) -> None:
        payload = {**SWITCH, "effectiveDate": "2026-12-01", **CARD}

        associate, order = place(payload, options=COLLECTING).steps

        assert associate.path == f"/v1/payment-methods/{hex_of('new')}"
        assert (order.body or {})["processingOptions"]["electronicPaymentOptions"] == {"paymentMethodId": hex_of("new")}

    def test_the_present_card_needs_no_more(self) -> None:
        assert len(place({**SWITCH, "effectiveDate": "2026-12-01"}, options=COLLECTING).steps) == 1

    def test_a_refund_without_a_method_leaves_the_credit(self) -> None:
        payload = {"order_type": "refund", "offer": ref(world.GOODWILL), "amount": 5, **SUB}

        steps = place(payload, zuora={"account": an_account(defaultPaymentMethodId=None)}).steps

        assert [step.name for step in steps] == ["memo"]
        assert not place(payload).steps[1].critical

    def test_a_credit_memo_by_quantity_is_so_many_prices(self) -> None:
        payload = {"order_type": "credit_memo", "offer": ref(AUDIO), "quantity": 4, **SUB}

        [body] = bodies(place(payload))

        assert body["charges"] == [{"productRatePlanChargeId": hex_of("chU"), "amount": 12}]

    def test_a_gift_that_is_not_paid_yet_is_credited_and_not_refunded(self) -> None:
        code = {"id": "gift_code-1", "status": "free", "data": {"debitMemoNumber": "DM-1"}}
        store = in_store(GIFT, gift_code=code)
        memo = {"accountNumber": "A00000007", "amount": 120, "balance": 120, "currency": "GBP"}
        payload = {"order_type": "gift_refund", **SUB}

        [credit] = place(payload, store=store, zuora={"gift_memo": memo}).steps
        paid = place(payload, store=store, zuora={"gift_memo": {**memo, "balance": 0}})

        assert "excludeFromAutoApplyRules" not in (credit.body or {})
        assert [step.name for step in paid.steps] == ["memo", "refund"]

    def test_a_contact_whose_id_zuora_does_not_tell_is_looked_up_among_those_of_the_account(self) -> None:
        address = {"address1": "2 Low Road", "city": "Leeds"}
        contact, account = place({"order_type": "change_address", "type": "delivery", "address": address, **SUB}).steps
        other = {"id": "old", "firstName": "Ada", "lastName": "Lovelace", "address1": "1 High Street", "city": "London"}
        ours = {**other, **address, "id": "new", "personalEmail": "ada@example.com"}

        asked = outcome(contact, Answer(heard=Heard.ANSWER, body={"success": True}))
        sent_at = datetime(2026, 12, 1, tzinfo=UTC)
        found = adopt(contact, Answer(heard=Heard.ANSWER, body={"data": [other, ours]}), sent_at=sent_at)

        assert isinstance(asked, Ask)
        assert f"accountId.EQ:{hex_of('account')}" in asked.look_up.path
        assert isinstance(found, Done)
        completed = complete(account, {contact.name: found.answer})
        assert completed is not None
        assert completed.body == {"soldToContactId": "new"}

    def test_a_change_of_details_reaches_both_contacts_where_there_are_two(self) -> None:
        account = {**an_account(), "soldToContact": {**world.ADA, "id": "other"}}
        payload = {**EXAMPLES[-2]["limio_order"]}

        first, second = place(payload, zuora={"account": account}).steps

        assert first.path != second.path
        assert first.body == second.body


class TestReads:
    def state(self, **answers: Any) -> State:
        return world.a_state(in_store(), answers)

    def names(self, payload: Mapping[str, Any], state: State, options: Options = OPTIONS) -> list[str]:
        order = an_order(payload, names("2C50V1J7K3C0", NUMBER))
        return [read.name for read in missing(order, state, options, TODAY)]

    def test_a_new_order_of_a_new_account_asks_nothing(self) -> None:
        assert self.names(E1, State()) == []

    def test_the_account_is_known_once_the_subscription_is(self) -> None:
        assert self.names(SWITCH, self.state()) == ["subscription"]
        assert self.names(SWITCH, self.state(subscription=a_subscription())) == ["account"]

    def test_a_switch_of_what_is_cancelled_asks_for_the_cancelling_order(self) -> None:
        state = self.state(subscription=CANCELLED_LATER, account=an_account())

        assert self.names(SWITCH, state) == ["orders"]
        assert self.names(CANCEL, state) == []

    def test_an_order_goes_by_the_account_that_is_invoiced(self) -> None:
        """Zuora refuses it from any other account (58730020)."""
        subscription = a_subscription(invoiceOwnerAccountNumber="A-PARTNER")
        state = self.state(subscription=subscription)
        order = an_order(SWITCH, names("2C50V1J7K3C0"))

        [read] = missing(order, state, OPTIONS, TODAY)

        assert read.path == "/v1/accounts/A-PARTNER"
        [body] = bodies(place(SWITCH, zuora={"subscription": subscription}))
        assert body["existingAccountNumber"] == "A-PARTNER"

    @pytest.mark.parametrize(
        "payload",
        [
            {"order_type": "change_address", "type": "delivery", "address": {"address1": "2 Low Road"}, **SUB},
            {"order_type": "update_customer_details", "customerDetails": {"firstName": "Augusta"}, **SUB},
        ],
        ids=["delivery", "details"],
    )
    def test_contacts_are_changed_on_the_customers_account_also_if_another_pays(
        self, payload: Mapping[str, Any]
    ) -> None:
        """Else a customer's move would give the partner that pays another address."""
        state = self.state(subscription=PAID_BY_A_PARTNER)
        order = an_order(payload, names("2C50V1J7K3C0"))

        [read] = missing(order, state, OPTIONS, TODAY)

        assert read.path == "/v1/accounts/A00000007"

    @pytest.mark.parametrize(
        ("field", "payload"),
        [
            ("type", {"order_type": "change_address", "type": "billing", "address": {"address1": "2 Low Road"}, **SUB}),
            ("payment", {"order_type": "change_payment", **CARD, **SUB}),
            ("payment", {"order_type": "change_default_payment", **CARD, **SUB}),
        ],
        ids=["billing", "payment", "default"],
    )
    def test_what_another_account_pays_with_is_not_changed_by_an_order(
        self, field: str, payload: Mapping[str, Any]
    ) -> None:
        refused = world.plan(an_order(payload, names("2C50V1J7K3C0")), zuora={"subscription": PAID_BY_A_PARTNER})

        assert isinstance(refused, Refusal)
        [problem] = refused.problems
        assert (problem.field, problem.code) == (field, ProblemCode.NOT_ALLOWED)
        assert "A-PARTNER" in problem.message

    def test_an_order_brings_no_address_to_an_account_that_is_not_the_customers(self) -> None:
        moved = {**SWITCH, "deliveryDetails": {"firstName": "Ada", "lastName": "Lovelace", "address1": "2 Low Road"}}

        plan = place(moved, zuora={"subscription": PAID_BY_A_PARTNER})

        assert [step.path for step in plan.steps] == ["/v1/orders"]

    def test_a_number_with_any_character_is_one_piece_of_the_path(self) -> None:
        payload = {**CANCEL, "forSubscription": {"name": "A/S 1?"}}
        order = an_order(payload, names("2C50V1J7K3C0"))

        [read] = missing(order, State(), OPTIONS, TODAY)

        assert read.path.startswith("/v1/subscriptions/A%2FS%201%3F?")

    def test_what_zuora_does_not_know_is_asked_once(self) -> None:
        assert self.names(CANCEL, self.state(subscription=None)) == []
