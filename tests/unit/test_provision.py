"""What should be in Zuora and what is: the steps between, without Zuora."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sync_service.operations.provision.install import Act, ProvisionPlan, ProvisionStep, plan_install, plan_remove
from sync_service.operations.provision.wanted import CalloutTerms, CannotProvision, check_terms
from sync_service.zuora.callout_definitions import (
    CalloutTemplate,
    Definition,
    EventTrigger,
    NotificationDefinition,
    Profile,
    TenantCallouts,
    read_fields,
)

TERMS = CalloutTerms(
    public_url="https://sync.example.com/limio/",
    username="zuora",
    password="correct horse",
    sources=("shop", "salesforce"),
)
DEFAULT, PREMIUM = Profile(id="a" * 32, name="Default Profile"), Profile(id="b" * 32, name="Premium")
EMPTY = TenantCallouts(
    profiles=(DEFAULT,),
    order_fields=frozenset({"OrderNumber", "CreatedById", "Source__c", "InitiatedSource__c"}),
    account_fields=frozenset({"BillToId", "SoldToId", "Name"}),
)
OTHERS = NotificationDefinition(
    id="theirs", name="Invoices", event="InvoicePosted", profiles=frozenset(), template_ids=("t",), condition="", row={}
)


def carry_out(found: TenantCallouts, plan: ProvisionPlan) -> TenantCallouts:
    """What a tenant has after the steps, as its lists would say."""
    triggers = {each.id: each for each in found.triggers}
    templates = {each.id: each for each in found.templates}
    definitions = {each.id: each for each in found.definitions}
    template_ids = dict(plan.template_ids)
    for count, step in enumerate(plan.steps):
        key = step.id or f"new-{count}-{len(triggers)}-{len(templates)}-{len(definitions)}"
        if step.act is Act.DELETE:
            for kept in (triggers, templates, definitions):
                kept.pop(key, None)
        elif step.thing is Definition.TRIGGER:
            before = triggers.get(key)
            triggers[key] = EventTrigger(
                id=key,
                event=before.event if before else step.body["eventType"]["name"],
                base_object=before.base_object if before else step.body["baseObject"],
                condition=step.body["condition"],
                active=step.body["active"],
            )
        elif step.thing is Definition.TEMPLATE:
            row = {**(templates[key].row if key in templates else {}), **step.body}
            templates[key] = CalloutTemplate(id=key, name=row["name"], event=row["eventTypeName"], row=row)
            template_ids[step.name] = key
        else:
            definitions[key] = NotificationDefinition(
                id=key,
                name=step.body["name"],
                event=step.body["eventTypeName"],
                profiles=frozenset({step.body["communicationProfileId"]}),
                template_ids=(template_ids[step.template],),
                condition=step.body.get("filterRule", {}).get("condition", ""),
                row=dict(step.body),
            )
    return replace(
        found,
        triggers=tuple(triggers.values()),
        templates=tuple(templates.values()),
        definitions=tuple(definitions.values()),
    )


def installed(found: TenantCallouts = EMPTY, terms: CalloutTerms = TERMS) -> TenantCallouts:
    return carry_out(found, plan_install(found, terms))


def said(plan: ProvisionPlan) -> list[tuple[str, str, str]]:
    return [(step.act.value, step.thing.value, step.name) for step in plan.steps]


def only(plan: ProvisionPlan, thing: Definition, name: str) -> ProvisionStep:
    (step,) = [step for step in plan.steps if step.thing is thing and step.name == name]
    return step


def test_a_bare_tenant_gets_three_events_and_what_they_need_before_them() -> None:
    assert said(plan_install(EMPTY, TERMS)) == [
        ("create", "event trigger", "LimioSyncAccountUpdated"),
        ("create", "event trigger", "LimioSyncContactUpdated"),
        ("create", "callout template", "limio-sync: order actions"),
        ("create", "callout template", "limio-sync: account changes"),
        ("create", "callout template", "limio-sync: contact changes"),
        ("create", "notification definition", "limio-sync: order actions (Default Profile)"),
        ("create", "notification definition", "limio-sync: account changes (Default Profile)"),
        ("create", "notification definition", "limio-sync: contact changes (Default Profile)"),
    ]


def test_the_template_calls_public_url_with_the_password_at_once() -> None:
    body = only(plan_install(EMPTY, TERMS), Definition.TEMPLATE, "limio-sync: order actions").body

    assert body["calloutBaseurl"] == (
        "https://sync.example.com/limio/api/plugins/zuora/sync/subscription/{{OrderAction.Subscription.Name}}"
    )
    assert body["calloutAuth"] == {"username": "zuora", "password": "correct horse", "preemptive": True}
    assert (body["requiredAuth"], body["calloutRetry"], body["httpMethod"]) == (True, True, "POST")
    assert body["calloutParams"]["OrderSource__c"] == "{{OrderAction.Order.Source__c}}"
    assert (body["eventTypeName"], body["eventTypeNamespace"]) == ("OrderActionProcessed", "com.zuora.notification")


def test_our_own_orders_are_filtered_by_both_crossed_fields_and_by_who_made_them() -> None:
    terms = replace(TERMS, users=("2c92a0ff1234567890abcdef12345678",))

    definition = only(plan_install(EMPTY, terms), Definition.DEFINITION, "limio-sync: order actions (Default Profile)")

    assert definition.body["filterRule"]["condition"] == (
        "Order.Source__c != 'shop' && Order.Source__c != 'salesforce'"
        " && Order.InitiatedSource__c != 'shop' && Order.InitiatedSource__c != 'salesforce'"
        " && Order.CreatedById != '2c92a0ff1234567890abcdef12345678'"
    )


@pytest.mark.parametrize("fields", [frozenset({"OrderNumber"}), None])
def test_a_field_that_is_not_there_is_named_nowhere(fields: frozenset[str] | None) -> None:
    plan = plan_install(replace(EMPTY, order_fields=fields), TERMS)

    assert "Source__c" not in str([step.body for step in plan.steps])
    assert "filterRule" not in only(plan, Definition.DEFINITION, "limio-sync: order actions (Default Profile)").body
    assert any("no filter rule" in note for note in plan.notes)


def test_of_two_fields_the_one_that_is_there_is_used() -> None:
    plan = plan_install(replace(EMPTY, order_fields=frozenset({"Source__c"})), TERMS)

    assert only(plan, Definition.DEFINITION, "limio-sync: order actions (Default Profile)").body["filterRule"][
        "condition"
    ] == ("Order.Source__c != 'shop' && Order.Source__c != 'salesforce'")
    assert any("InitiatedSource__c" in note for note in plan.notes)


def test_a_tenant_may_call_its_field_otherwise() -> None:
    found = replace(EMPTY, order_fields=frozenset({"Channel__c"}))

    plan = plan_install(found, replace(TERMS, source_fields=("Channel__c",), sources=("web shop", "o'hara")))

    definition = only(plan, Definition.DEFINITION, "limio-sync: order actions (Default Profile)")
    # A word that would need quoting stays ours to filter.
    assert definition.body["filterRule"]["condition"] == "Order.Channel__c != 'web shop'"
    assert plan.notes == ()


def test_without_a_filter_our_own_orders_call_too() -> None:
    plan = plan_install(EMPTY, replace(TERMS, filtered=False))

    assert all("filterRule" not in step.body for step in plan.steps)


def test_accounts_call_when_they_get_other_contacts_and_not_with_every_bill() -> None:
    known, unknown = (
        plan_install(replace(EMPTY, account_fields=fields), TERMS) for fields in (EMPTY.account_fields, None)
    )

    assert only(known, Definition.TRIGGER, "LimioSyncAccountUpdated").body["condition"] == (
        "changeType == 'UPDATE'"
        " && (Account.BillToId != Account.BillToId_old || Account.SoldToId != Account.SoldToId_old)"
    )
    assert only(unknown, Definition.TRIGGER, "LimioSyncAccountUpdated").body["condition"] == "changeType == 'UPDATE'"
    assert any("bill run" in note for note in unknown.notes)


def test_every_profile_gets_its_definitions() -> None:
    plan = plan_install(replace(EMPTY, profiles=(DEFAULT, PREMIUM)), TERMS)

    definitions = [step for step in plan.steps if step.thing is Definition.DEFINITION]
    assert len(definitions) == 6
    assert {step.body["communicationProfileId"] for step in definitions} == {DEFAULT.id, PREMIUM.id}


def test_without_a_list_of_profiles_the_default_one_has_to_do_and_the_plan_says_so() -> None:
    plan = plan_install(replace(EMPTY, profiles=None), TERMS)

    definitions = [step for step in plan.steps if step.thing is Definition.DEFINITION]
    assert [("communicationProfileId" in step.body) for step in definitions] == [False] * 3
    assert any("default one" in note for note in plan.notes)


@pytest.mark.parametrize(
    "found", [EMPTY, replace(EMPTY, profiles=(DEFAULT, PREMIUM)), replace(EMPTY, order_fields=None)]
)
def test_what_is_there_is_left_alone(found: TenantCallouts) -> None:
    plan = plan_install(installed(found), TERMS)

    assert plan.steps == ()
    assert len(plan.kept) == 5 + 3 * len(found.profiles or ())


def test_another_spelling_of_ids_and_blanks_is_no_difference() -> None:
    found = installed()
    dashed = "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa".upper()
    found = replace(
        found,
        definitions=tuple(
            replace(
                each, profiles=frozenset({dashed.replace("-", "").lower()}), condition=each.condition.replace(" ", "")
            )
            for each in found.definitions
        ),
    )

    assert plan_install(found, TERMS).steps == ()


def test_what_zuora_does_not_show_is_no_difference() -> None:
    found = installed()
    shown = ("name", "calloutBaseurl", "eventTypeName")
    found = replace(
        found,
        templates=tuple(
            replace(each, row={name: each.row[name] for name in shown} | {"calloutAuth": {"username": "zuora"}})
            for each in found.templates
        ),
    )

    assert plan_install(found, TERMS).steps == ()


def test_a_new_address_changes_the_templates_and_says_from_what_to_what() -> None:
    plan = plan_install(installed(), replace(TERMS, public_url="https://new.example.com"))

    assert {(step.act, step.thing) for step in plan.steps} == {(Act.CHANGE, Definition.TEMPLATE)}
    assert all("sync.example.com" in step.why[0] and "→ https://new" in step.why[0] for step in plan.steps)
    # PUT takes no event.
    assert all("eventTypeName" not in step.body for step in plan.steps)


def test_what_sleeps_is_woken() -> None:
    found = installed()
    found = replace(
        found,
        triggers=tuple(replace(each, active=False) for each in found.triggers),
        templates=tuple(replace(each, row={**each.row, "active": False}) for each in found.templates),
        definitions=tuple(replace(each, row={**each.row, "calloutActive": False}) for each in found.definitions),
    )

    plan = plan_install(found, TERMS)

    assert {step.act for step in plan.steps} == {Act.CHANGE}
    assert len(plan.steps) == 8
    assert plan_install(carry_out(found, plan), TERMS).steps == ()


def test_a_filter_that_is_wanted_no_more_needs_a_new_definition() -> None:
    plan = plan_install(installed(), replace(TERMS, filtered=False))

    name = "limio-sync: order actions (Default Profile)"
    assert said(plan) == [
        ("delete", "notification definition", name),
        ("create", "notification definition", name),
    ]


def test_other_sources_change_the_filter() -> None:
    (step,) = plan_install(installed(), replace(TERMS, sources=("online",))).steps

    assert (step.act, step.body["filterRule"]["condition"]) == (
        Act.CHANGE,
        "Order.Source__c != 'online' && Order.InitiatedSource__c != 'online'",
    )
    assert step.body["calloutActive"] is True  # PUT would put it out otherwise


def test_a_password_that_zuora_does_not_show_is_sent_again_when_asked() -> None:
    plan = plan_install(installed(), TERMS, renew_password=True)

    assert {(step.act, step.thing) for step in plan.steps} == {(Act.CHANGE, Definition.TEMPLATE)}
    assert "correct horse" not in str(plan.as_json())
    assert "correct horse" not in repr(plan)


def test_a_password_that_zuora_shows_is_compared_and_never_printed() -> None:
    plan = plan_install(installed(), replace(TERMS, password="battery staple"))

    assert [step.why for step in plan.steps] == [("calloutAuth.password: another one",)] * 3
    assert "staple" not in str(plan.as_json())


def test_a_masked_password_is_none() -> None:
    found = installed()
    masked = tuple(
        replace(each, row={**each.row, "calloutAuth": {**each.row["calloutAuth"], "password": "****"}})
        for each in found.templates
    )

    assert plan_install(replace(found, templates=masked), TERMS).steps == ()


def theirs(condition: str = 'changeType=="UPDATE"', **more: Any) -> EventTrigger:
    values = {"id": "x1", "event": "ContactTouched", "base_object": "Contact", "active": True, **more}
    return EventTrigger(condition=condition, **values)


def test_a_trigger_of_the_customer_with_the_same_condition_is_used_and_never_removed() -> None:
    found = replace(EMPTY, triggers=(theirs(),))

    plan = plan_install(found, TERMS)
    after = carry_out(found, plan)

    assert [step.name for step in plan.steps if step.thing is Definition.TRIGGER] == ["LimioSyncAccountUpdated"]
    assert only(plan, Definition.TEMPLATE, "limio-sync: contact changes").body["eventTypeName"] == "ContactTouched"
    assert plan_install(after, TERMS).steps == ()
    assert carry_out(after, plan_remove(after, TERMS)) == found


def test_a_trigger_of_the_customer_that_sleeps_is_left_asleep_and_told_of() -> None:
    plan = plan_install(replace(EMPTY, triggers=(theirs(active=False),)), TERMS)

    assert any("ContactTouched is not active" in note for note in plan.notes)


@pytest.mark.parametrize("other", [theirs("changeType == 'INSERT'"), theirs(base_object="Account")])
def test_a_trigger_of_another_object_or_condition_is_none_of_ours(other: EventTrigger) -> None:
    plan = plan_install(replace(EMPTY, triggers=(other,)), TERMS)

    assert only(plan, Definition.TRIGGER, "LimioSyncContactUpdated").act is Act.CREATE


def test_where_the_customer_later_makes_the_trigger_we_move_to_it() -> None:
    found = installed()
    without = replace(found, triggers=(found.triggers[0], theirs()))

    plan = plan_install(without, TERMS)
    after = carry_out(without, plan)

    assert {each.event for each in after.triggers} == {"LimioSyncAccountUpdated", "ContactTouched"}
    assert plan_install(after, TERMS).steps == ()
    deleted = [step.thing for step in plan.steps if step.act is Act.DELETE]
    assert deleted == [Definition.DEFINITION, Definition.TEMPLATE]


def test_removal_takes_the_users_before_the_used_and_only_ours() -> None:
    similar = replace(OTHERS, id="similar", name="limio-sync: my own")
    before = replace(EMPTY, definitions=(OTHERS, similar), triggers=(theirs("Contact.City == 'York'"),))
    found = installed(before)

    plan = plan_remove(found, TERMS)

    assert [step.thing for step in plan.steps] == [Definition.DEFINITION] * 3 + [Definition.TEMPLATE] * 3 + [
        Definition.TRIGGER
    ] * 2
    assert carry_out(found, plan) == before
    assert plan_remove(before, TERMS).steps == ()


def test_an_event_of_ours_that_has_come_to_be_used_stays() -> None:
    found = installed()
    mail = replace(OTHERS, name="Tell the team", event="LimioSyncContactUpdated")

    plan = plan_remove(replace(found, definitions=(*found.definitions, mail)), TERMS)

    assert [step.name for step in plan.steps if step.thing is Definition.TRIGGER] == ["LimioSyncAccountUpdated"]
    assert any("Tell the team" in note for note in plan.notes)


def test_a_profile_that_is_gone_takes_its_definitions_with_it() -> None:
    found = installed(replace(EMPTY, profiles=(DEFAULT, PREMIUM)))

    plan = plan_install(replace(found, profiles=(DEFAULT,)), TERMS)

    assert [(step.act, step.thing) for step in plan.steps] == [(Act.DELETE, Definition.DEFINITION)] * 3


def test_a_definition_that_speaks_for_several_profiles_covers_them() -> None:
    found = installed()
    both = frozenset({DEFAULT.id, PREMIUM.id})
    found = replace(
        found,
        profiles=(DEFAULT, PREMIUM),
        definitions=tuple(replace(each, profiles=both) for each in found.definitions),
    )

    assert plan_install(found, TERMS).steps == ()


def test_two_services_on_one_tenant_do_not_meet() -> None:
    one = installed()
    staging = replace(TERMS, prefix="staging sync", public_url="https://staging.example.com")

    plan = plan_install(one, staging)
    both = carry_out(one, plan)

    assert {step.thing for step in plan.steps} == {Definition.TEMPLATE, Definition.DEFINITION}  # the events are there
    assert plan_install(both, TERMS).steps == ()
    # The first goes; its events stay, for the second lives on them.
    left = carry_out(both, plan_remove(both, TERMS))
    assert {each.event for each in left.triggers} == {"LimioSyncAccountUpdated", "LimioSyncContactUpdated"}
    assert plan_install(left, staging).steps == ()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"public_url": ""}, "PUBLIC_URL is not set"),
        ({"public_url": "http://sync.example.com"}, "https only"),
        ({"public_url": "http://127.0.0.1:8000"}, "https only"),
        ({"public_url": "https://localhost"}, "cannot reach"),
        ({"username": ""}, "CALLOUT_USERNAME and CALLOUT_PASSWORD"),
        ({"password": ""}, "CALLOUT_USERNAME and CALLOUT_PASSWORD"),
        ({"prefix": " - "}, "prefix"),
    ],
)
def test_what_zuora_could_not_call_is_refused_with_the_remedy(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(CannotProvision, match=words):
        check_terms(replace(TERMS, **changed), local=False)


def test_an_emulated_zuora_may_call_this_machine() -> None:
    check_terms(TERMS, local=False)
    check_terms(replace(TERMS, public_url="http://127.0.0.1:8000"), local=True)
    with pytest.raises(CannotProvision):
        check_terms(replace(TERMS, public_url="http://192.168.0.7:8000"), local=True)


def test_another_port_is_told_of() -> None:
    plan = plan_install(EMPTY, replace(TERMS, public_url="https://sync.example.com:8443"))

    assert any("443" in note for note in plan.notes)


def test_fields_are_those_of_the_object_and_not_of_its_relatives() -> None:
    text = """<?xml version="1.0" encoding="UTF-8"?>
<object><name>Order</name><label>Order</label>
  <fields><field><name>OrderNumber</name><label>Order Number</label><contexts><context>export</context></contexts>
  </field><field><name>Source__c</name><custom>true</custom></field></fields>
  <related-objects><object href="x"><name>Account</name><label>Account</label></object></related-objects></object>"""

    assert read_fields(text) == frozenset({"OrderNumber", "Source__c"})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html><body>Sign in</body></html>",
        "<object><name>Order</name></object>",
        "<object>",
        "{}",
        '<!DOCTYPE a [<!ENTITY e "x">]><object><fields><field><name>&e;</name></field></fields></object>',
    ],
)
def test_what_is_no_description_has_no_fields(text: str) -> None:
    assert read_fields(text) is None
