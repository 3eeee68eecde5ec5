"""Our signatures, read by the library of Standard Webhooks, which receivers use."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from sync_service.webhooks.signing import SecretInvalid, make_secret, read_secret, sign

BODY = '{"type":"subscription.changed","data":{"number":"A-S1"}}'


def headers(*secrets: str, body: str = BODY) -> dict[str, str]:
    now = int(datetime.now(UTC).timestamp())  # receivers refuse what is older than five minutes
    signature = sign("msg_1", now, body, secrets)
    return {"webhook-id": "msg_1", "webhook-timestamp": str(now), "webhook-signature": signature}


def test_a_receiver_verifies_our_signature() -> None:
    secret = make_secret()

    assert Webhook(secret).verify(BODY, headers(secret)) == {"type": "subscription.changed", "data": {"number": "A-S1"}}


def test_during_a_rotation_receivers_with_either_secret_verify_it() -> None:
    old, new = make_secret(), make_secret()
    sent = headers(new, old)

    Webhook(old).verify(BODY, sent)
    Webhook(new).verify(BODY, sent)


def test_after_a_rotation_the_old_secret_verifies_nothing() -> None:
    old, new = make_secret(), make_secret()

    with pytest.raises(WebhookVerificationError):
        Webhook(old).verify(BODY, headers(new))


def test_the_example_of_the_specification_is_signed_as_there() -> None:
    # Standard Webhooks, "Signature scheme": the symmetric example.
    secret, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", '{"test": 2432232314}'

    signature = sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body, [secret])

    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("secret", ["whsec_", "whsec_c2hvcnQ=", "whsec_not base64", "whsec_" + "QUJD" * 30])
def test_a_secret_of_another_form_is_refused(secret: str) -> None:
    with pytest.raises(SecretInvalid):
        read_secret(secret)
