"""Webhooks of an event: adding, listing, switching and removing them; the log of their messages."""

from typing import Annotated

import falcon
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from reservation.codes import Code
from reservation.errors import refusal
from reservation.fields import says_why
from reservation.ids import DELIVERY_ID_PATTERN, DeliveryId, parse_event_id, parse_hook_id
from reservation.outside import NotAllowed, Resolver, check, look_up
from reservation.webhook_models import (
    CreatedWebhook,
    Delivery,
    DeliveryList,
    DeliveryStatus,
    NewWebhook,
    Webhook,
    WebhookChange,
    WebhookList,
)
from reservation.webhooks import Webhooks
from reservation_http.access import CREATE_EVENTS, Access
from reservation_http.errors import InvalidRequest, WebhooksOff
from reservation_http.exchange import digits, path_id, read_query, write
from reservation_http.openapi import operation


class DeliveryPage(BaseModel):
    """Which messages are wanted."""

    model_config = ConfigDict(extra="ignore")

    limit: Annotated[
        Annotated[int, Field(ge=1, le=100), BeforeValidator(digits)], Field(description="Most messages.")
    ] = 20
    cursor: Annotated[
        Annotated[
            str,
            AfterValidator(says_why(DeliveryId.parse)),
            Field(json_schema_extra={"pattern": DELIVERY_ID_PATTERN}),
        ]
        | None,
        Field(description="`nextCursor` of the page before."),
    ] = None
    status: Annotated[DeliveryStatus | None, Field(description="Only those that have it.")] = None


class _OfWebhooks:
    """What all of them share.

    Arguments:
        webhooks: None where there are none (WEBHOOKS=off).
        access: the way in.
    """

    def __init__(self, webhooks: Webhooks | None, access: Access) -> None:
        self._webhooks, self._access = webhooks, access

    def _there(self) -> Webhooks:
        if self._webhooks is None:
            raise WebhooksOff
        return self._webhooks


class EventWebhooks(_OfWebhooks):
    """`/events/{event_id}/webhooks`.

    Arguments:
        webhooks, access: as for all of them.
        allow_private: whether they may be private addresses, and without TLS.
        resolve: finds the address of a name.
    """

    def __init__(
        self, webhooks: Webhooks | None, access: Access, *, allow_private: bool, resolve: Resolver = look_up
    ) -> None:
        super().__init__(webhooks, access)
        self._allow_private, self._resolve = allow_private, resolve

    @operation(
        "createWebhook",
        "Have a URL told what happens in an event",
        tag="webhooks",
        body=NewWebhook,
        answers={201: CreatedWebhook},
        headers={201: {"Location": "Where the webhook is read."}},
        scope=CREATE_EVENTS,
        problems=("not-found", "webhooks-off", "webhook-limit", "state-unavailable"),
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response, event_id: str) -> None:
        """It is told what happens from now on: see `webhooks` in the OpenAPI 3.1 document, and the guide. An event has
        five at most. The secret is shown in this answer only."""
        new, _, once = self._access.organizing(req, NewWebhook, event_id, rate="events")
        webhooks, event_id = self._there(), path_id(parse_event_id, event_id)
        try:
            url = check(new.url, self._resolve, allow_private=self._allow_private)
        except NotAllowed as error:
            raise InvalidRequest([{"field": "url", "message": str(error)}]) from None
        created = webhooks.create(event_id, url, new.types, new.secret, once)
        write(resp, created, 201)
        resp.location = f"/events/{event_id}/webhooks/{created.id}"
        resp.set_header("Cache-Control", "no-store")

    @operation(
        "listWebhooks",
        "List an event's webhooks",
        tag="webhooks",
        answers={200: WebhookList},
        scope=CREATE_EVENTS,
        problems=("not-found", "webhooks-off", "state-unavailable"),
    )
    def on_get(self, req: falcon.Request, resp: falcon.Response, event_id: str) -> None:
        """In the order in which they were made, without their secrets."""
        self._access.operator(req, CREATE_EVENTS)
        hooks = self._there().of_event(path_id(parse_event_id, event_id))
        write(resp, WebhookList(webhooks=hooks))
        resp.set_header("Cache-Control", "no-store")


class EventWebhook(_OfWebhooks):
    """`/events/{event_id}/webhooks/{webhook_id}`."""

    @operation(
        "getWebhook",
        "Read a webhook",
        tag="webhooks",
        answers={200: Webhook},
        scope=CREATE_EVENTS,
        problems=("not-found", "webhooks-off", "state-unavailable"),
    )
    def on_get(self, req: falcon.Request, resp: falcon.Response, event_id: str, webhook_id: str) -> None:
        """Whether messages go there, and if not, why. Without its secret."""
        self._access.operator(req, CREATE_EVENTS)
        hook = self._there().get(path_id(parse_event_id, event_id), path_id(parse_hook_id, webhook_id))
        write(resp, hook)
        resp.set_header("Cache-Control", "no-store")

    @operation(
        "changeWebhook",
        "Switch a webhook on or off",
        tag="webhooks",
        body=WebhookChange,
        unkeyed=True,
        answers={200: Webhook},
        scope=CREATE_EVENTS,
        problems=("not-found", "webhooks-off", "state-unavailable"),
    )
    def on_patch(self, req: falcon.Request, resp: falcon.Response, event_id: str, webhook_id: str) -> None:
        """While it is off, messages that are pending wait, and nothing that happens is told, then or later. Switched
        on, one that was disabled because it failed, or was gone, begins anew."""
        change = self._access.organizing(req, WebhookChange).body
        hook = self._there().enable(
            path_id(parse_event_id, event_id), path_id(parse_hook_id, webhook_id), enabled=change.enabled
        )
        write(resp, hook)

    @operation(
        "removeWebhook",
        "Remove a webhook",
        tag="webhooks",
        answers={204: None},
        scope=CREATE_EVENTS,
        problems=("not-found", "webhooks-off", "state-unavailable"),
    )
    def on_delete(self, req: falcon.Request, resp: falcon.Response, event_id: str, webhook_id: str) -> None:
        """With its messages, of which none is sent any more; one that is on its way may still arrive."""
        self._access.operator(req, CREATE_EVENTS)
        self._there().remove(path_id(parse_event_id, event_id), path_id(parse_hook_id, webhook_id))
        resp.status = 204


class WebhookDeliveries(_OfWebhooks):
    """`/events/{event_id}/webhooks/{webhook_id}/deliveries`."""

    @operation(
        "listDeliveries",
        "List a webhook's messages",
        tag="webhooks",
        query=DeliveryPage,
        answers={200: DeliveryList},
        scope=CREATE_EVENTS,
        problems=("not-found", "invalid-request", "webhooks-off", "state-unavailable"),
    )
    def on_get(self, req: falcon.Request, resp: falcon.Response, event_id: str, webhook_id: str) -> None:
        """The newest first, with what has become of each. Kept for three days unless configured otherwise, and the
        last 10,000 of those that have ended."""
        self._access.operator(req, CREATE_EVENTS)
        page = read_query(req, DeliveryPage)
        after = DeliveryId.parse(page.cursor) if page.cursor else None
        event_id, hook_id = path_id(parse_event_id, event_id), path_id(parse_hook_id, webhook_id)
        write(resp, self._there().deliveries(event_id, hook_id, page.limit, after, page.status or ""))
        resp.set_header("Cache-Control", "no-store")


class WebhookReplay(_OfWebhooks):
    """`/events/{event_id}/webhooks/{webhook_id}/deliveries/{delivery_id}/replay`."""

    @operation(
        "replayDelivery",
        "Send a message again",
        tag="webhooks",
        answers={202: Delivery},
        scope=CREATE_EVENTS,
        problems=("not-found", "webhooks-off", "state-unavailable"),
    )
    def on_post(
        self, req: falcon.Request, resp: falcon.Response, event_id: str, webhook_id: str, delivery_id: str
    ) -> None:
        """Within a second, whatever came of it before, with the same `webhook-id`, and again as often as a new one if
        it does not arrive. To a webhook that is off, once it is on."""
        self._access.operator(req, CREATE_EVENTS)
        event_id, delivery = path_id(parse_event_id, event_id), path_id(DeliveryId.parse, delivery_id)
        if delivery.hook != path_id(parse_hook_id, webhook_id):
            raise refusal(Code.DELIVERY_UNKNOWN)
        write(resp, self._there().replay(event_id, delivery), 202)
