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
from sync_service.store.tables.order_work import (
    CatalogItemRow,
    OrderRequestRow,
    OrderStepRow,
    OrderWorkRow,
    ProductRow,
    RatePlanRow,
)
from sync_service.store.tables.pages import (
    AskRow,
    BackfillWishRow,
    FigureRow,
    InboxSeenRow,
    NotificationChoiceRow,
    NotificationRow,
    SearchEntryRow,
)
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
from sync_service.store.tables.webhooks import WebhookDeliveryRow, WebhookEndpointRow
