"""Zuora's own class of calls for orders: while a worker makes one, others may call in its place.

Zuora counts calls that create or preview an order, or create an account, in a class of 200, all others in one of 40
("Rate and concurrency limits"). A lane that is claimed holds a place in the class of 40; it leaves it for such a call,
and needs it again before it calls anything else.
"""

from __future__ import annotations

from sync_service.queue.limit import Share, is_room_for_orders, lock_limit
from sync_service.queue.requests import Claim
from sync_service.store.engine import Session

_LEAVE = "UPDATE sync_request SET ordering_token = token WHERE kind = :kind AND key = :key AND token = :token"
_COME_BACK = "UPDATE sync_request SET ordering_token = NULL WHERE kind = :kind AND key = :key AND token = :token"


def leave_place(session: Session, claim: Claim, share: Share) -> bool:
    """Leave the claim's place to others for a call that creates or previews an order. FIRST in its transaction.

    False where we make as many of those as we may: then the place is kept, and the call may be made all the same.
    """
    lock_limit(session, share)
    if not is_room_for_orders(session, share):
        return False
    session.run(_LEAVE, {"kind": claim.kind, "key": claim.key, "token": claim.token})
    return True


def take_place(session: Session, claim: Claim, share: Share) -> bool:
    """Have a place again for any other call; False where none is free now. FIRST in its transaction."""
    if lock_limit(session, share).room < 1:
        return False
    session.run(_COME_BACK, {"kind": claim.kind, "key": claim.key, "token": claim.token})
    return True
