"""How late or early a signed message may be, to the second."""

import base64

import pytest

from adapters.channels.signatures import TOLERANCE, must_be_signed
from adapters.webhooks.sending import signature_of
from commands.channels.channels import BadSignature
from commands.webhook import signing_key

NOW, SECRET = 1_800_000_000, "whsec_" + base64.b64encode(b"a secret of both sides").decode()


@pytest.mark.parametrize("off", [-TOLERANCE - 1, -TOLERANCE, 0, TOLERANCE, TOLERANCE + 1])
def test_a_signature_holds_for_five_minutes_before_and_after(off: int):
    at = NOW + off
    headers = {
        "webhook-id": "m1",
        "webhook-timestamp": str(at),
        "webhook-signature": signature_of(signing_key(SECRET), "m1", at, b"{}"),
    }
    if abs(off) > 300:
        with pytest.raises(BadSignature):
            must_be_signed(headers, b"{}", SECRET, NOW)
    else:
        assert must_be_signed(headers, b"{}", SECRET, NOW) == "m1"
