"""What an order meets: everything that decides its steps, read from the store and from Zuora."""

from __future__ import annotations

from dataclasses import replace

from sync_service.commerce.case import Case
from sync_service.commerce.exact import read_json
from sync_service.commerce.order import Order
from sync_service.commerce.payload import read_order
from sync_service.commerce.state import MAX_ROUNDS, missing
from sync_service.errors import NotFoundInZuora, PayloadInvalid
from sync_service.ordering.context import OrderContext
from sync_service.ordering.looks import Looks
from sync_service.queue.order_lanes import read_names
from sync_service.store.tables import OrderWorkRow
from sync_service.zuora.client import Reading


def order_of(context: OrderContext, work: OrderWorkRow) -> Order:
    """The order as it was accepted. Raises PayloadInvalid where this release reads it no more."""
    order = read_order(read_json(work.payload), context.options.zone, may_refund=work.may_refund)
    if not isinstance(order, Order):
        raise PayloadInvalid("The order as stored cannot be read: " + " ".join(each.message for each in order.problems))
    return replace(order, names=read_names(work), payer_account=work.payer_account)


def meet(case: Case, reading: Reading, looks: Looks) -> Case:
    """The case with all that has to be known of Zuora, round by round. Raises what `Reading.call` raises."""
    for _ in range(MAX_ROUNDS):
        wanted = missing(case.order, case.state, case.options, case.today)
        if not wanted:
            return case
        found = dict(case.state.zuora)
        for read in wanted:
            try:
                with looks.look(read.path):
                    found[read.name] = reading.call("GET", read.path)
            except NotFoundInZuora:
                found[read.name] = None
        case = replace(case, state=replace(case.state, zuora=found))
    return case
