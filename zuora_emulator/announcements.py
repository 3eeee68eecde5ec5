"""What the tenant tells the world when something happened: which events there are, and what they say."""

from __future__ import annotations

from collections.abc import Iterable

from zuora_emulator.answers import Json
from zuora_emulator.descriptions import account_values, contact_values, order_values
from zuora_emulator.notifications import Notifications
from zuora_emulator.records import Account, Contact
from zuora_emulator.tenant import Tenant


class Announcements:
    """Sends the callouts of the emulator's own settings and those that were provisioned."""

    def __init__(self, tenant: Tenant, notifications: Notifications) -> None:
        self.tenant, self.notifications = tenant, notifications

    def order(self, order: Json) -> None:
        """The callouts of a processed order: one for each action of each of its subscriptions, as the events do."""
        for part in order["subscriptions"]:
            self._part(order, part)

    def _part(self, order: Json, part: Json) -> None:
        at = self.tenant.now()
        subscription = self.tenant.find_subscription(part["subscriptionNumber"])
        if subscription is None:
            return
        latest = subscription.latest
        context = {
            "Subscription.Name": latest.number,
            "Subscription.SubscriptionNumber": latest.number,
            "Subscription.Id": latest.id,
            "Subscription.OriginalID": subscription.versions[0].id,
            **order_values(order, self.tenant.custom_fields["Order"]),
            **account_values(self.tenant.accounts[latest.account]),
        }
        for action in part["orderActions"]:
            of_action = {
                **context,
                "OrderAction.Type": action["type"],
                "OrderAction.SubscriptionNumber": latest.number,
            }
            self.notifications.callouts.send_for_subscription(latest.number, of_action, at)
            self.notifications.send("OrderActionProcessed", latest.id, of_action, at)
        self.notifications.send("OrderProcessed", latest.id, context, at)

    def edited(self, number: str, account: Account | None, contacts: Iterable[Contact]) -> None:
        """An account, or contacts of it, were edited; given is what they were before, if anything.

        Sent only if the tenant has events of its own for it.
        """
        now, at = self.tenant.accounts[number], self.tenant.now()
        self.notifications.callouts.send_for_account(number, now.id, at)
        context = account_values(now)
        for before in contacts:
            after = self.tenant.contacts[before.id]
            if after != before:
                old, new = contact_values(before, now.id), contact_values(after, now.id)
                self.notifications.notice("Contact", old, new, context, at)
        if account is not None and account != now:
            self.notifications.notice("Account", account_values(account), context, context, at)

    def billed(self, numbers: Iterable[str]) -> None:
        """Bills went to these accounts: each has another balance, which updates it."""
        if not self.notifications.watches("Account"):
            return
        for number in dict.fromkeys(numbers):
            new = account_values(self.tenant.accounts[number])
            self.notifications.notice("Account", {**new, "Account.Balance": "-1"}, new, new, self.tenant.now())
