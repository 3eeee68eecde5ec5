"""The tables. Importing this registers them all.

Times of ours are milliseconds since 1970 in UTC by the database's clock.
"""

from sync_service.store.tables.access import (
    AdminActionRow,
    AdminDraftRow,
    AdminSessionRow,
    AdminUserRow,
    AdminViewRow,
    OauthClientRow,
    ThrottleRow,
)
from sync_service.store.tables.figures import FigureRow
from sync_service.store.tables.limio import (
    AddOnRow,
    AddressRow,
    AttributedObject,
    CustomerRow,
    EventRow,
    GiftCodeRow,
    IdentityRow,
    LimioObject,
    OrderRow,
    PaymentMethodRow,
    ProcessRow,
    RelationRow,
    ScheduleRow,
    SubscriptionOfferRow,
    SubscriptionRow,
)
from sync_service.store.tables.notifications import InboxSeenRow, NotificationChoiceRow, NotificationRow
from sync_service.store.tables.offers import CatalogItemRow, ProductRow, RatePlanRow
from sync_service.store.tables.order_work import OrderRequestRow, OrderStepRow, OrderWorkRow
from sync_service.store.tables.partners import (
    BasketRow,
    PartnerCodeRow,
    PartnerOrgRow,
    PartnerSessionRow,
    PartnerUserRow,
)
from sync_service.store.tables.reads import (
    ScrubMarkRow,
    StoreTenantRow,
    SubscriptionAliasRow,
    SweepSeenRow,
    ZuoraAccountRow,
    ZuoraLinkRow,
)
from sync_service.store.tables.requests import (
    CalloutRow,
    HeartbeatRow,
    JobRow,
    SyncCauseRow,
    SyncRequestRow,
    SyncRunRow,
    ZuoraLeaseRow,
    ZuoraLimitRow,
)
from sync_service.store.tables.search import SearchEntryRow
from sync_service.store.tables.webhooks import WebhookDeliveryRow, WebhookEndpointRow
from sync_service.store.tables.wishes import AskRow, BackfillWishRow

__all__ = [
    "AddOnRow",
    "AddressRow",
    "AdminActionRow",
    "AdminDraftRow",
    "AdminSessionRow",
    "AdminUserRow",
    "AdminViewRow",
    "AskRow",
    "AttributedObject",
    "BackfillWishRow",
    "BasketRow",
    "CalloutRow",
    "CatalogItemRow",
    "CustomerRow",
    "EventRow",
    "FigureRow",
    "GiftCodeRow",
    "HeartbeatRow",
    "IdentityRow",
    "InboxSeenRow",
    "JobRow",
    "LimioObject",
    "NotificationChoiceRow",
    "NotificationRow",
    "OauthClientRow",
    "OrderRequestRow",
    "OrderRow",
    "OrderStepRow",
    "OrderWorkRow",
    "PartnerCodeRow",
    "PartnerOrgRow",
    "PartnerSessionRow",
    "PartnerUserRow",
    "PaymentMethodRow",
    "ProcessRow",
    "ProductRow",
    "RatePlanRow",
    "RelationRow",
    "ScheduleRow",
    "ScrubMarkRow",
    "SearchEntryRow",
    "StoreTenantRow",
    "SubscriptionAliasRow",
    "SubscriptionOfferRow",
    "SubscriptionRow",
    "SweepSeenRow",
    "SyncCauseRow",
    "SyncRequestRow",
    "SyncRunRow",
    "ThrottleRow",
    "WebhookDeliveryRow",
    "WebhookEndpointRow",
    "ZuoraAccountRow",
    "ZuoraLeaseRow",
    "ZuoraLimitRow",
    "ZuoraLinkRow",
]
