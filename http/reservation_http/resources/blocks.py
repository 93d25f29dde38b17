"""Seats that are not for sale: for those who sell the event."""

import falcon

from reservation.ids import parse_event_id
from reservation.requests import SeatBlock
from reservation.seats import Seats
from reservation_http.access import CREATE_EVENTS, Access, Order
from reservation_http.errors import InvalidRequest
from reservation_http.exchange import path_id
from reservation_http.openapi import operation


class _Blocking:
    def __init__(self, seats: Seats, access: Access) -> None:
        self._seats = seats
        self._access = access

    def _order(self, req: falcon.Request, event_id: str) -> Order[SeatBlock]:
        """What is asked for. Raises what `Access.organizing` does, NotFound, InvalidRequest."""
        order = self._access.organizing(req, SeatBlock, event_id)
        event_id = path_id(parse_event_id, event_id)
        if any(seat.event != event_id for seat in order.body.seats):
            raise InvalidRequest([{"field": "ids", "message": "must be seats of this event"}])
        return order


class SeatsBlock(_Blocking):
    """`/events/{event_id}/block`."""

    @operation(
        "blockSeats",
        "Take seats out of the sale",
        tag="events",
        body=SeatBlock,
        answers={204: None},
        scope=CREATE_EVENTS,
        problems=("not-found", "seat-held", "seat-reserved", "state-unavailable"),
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response, event_id: str) -> None:
        """Nobody can hold the seats from when this answers until they are unblocked. All of them or none: `conflicts`
        are those that somebody holds or has reserved. Safe to repeat: one that is blocked stays so."""
        (body, by, once) = self._order(req, event_id)
        self._seats.block(body.seats, by, body.reason, req.context.request_id, once)
        resp.status = 204


class SeatsUnblock(_Blocking):
    """`/events/{event_id}/unblock`."""

    @operation(
        "unblockSeats",
        "Put blocked seats back on sale",
        tag="events",
        body=SeatBlock,
        answers={204: None},
        scope=CREATE_EVENTS,
        problems=("not-found", "state-unavailable"),
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response, event_id: str) -> None:
        """They are free when this answers. Safe to repeat: those that are not blocked stay as they are."""
        (body, by, once) = self._order(req, event_id)
        self._seats.unblock(body.seats, by, body.reason, req.context.request_id, once)
        resp.status = 204
