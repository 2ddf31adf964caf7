"""What of a URL people may read."""

import random
import string
import uuid
from base64 import urlsafe_b64encode

import pytest

from webhooks_app.core.text_display import MASK
from webhooks_app.core.url_masking import looks_random, mask_url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://a.example/hooks", "https://a.example/hooks"),
        ("https://a.example/hooks?", "https://a.example/hooks?"),
        ("https://a.example/?token=s3cret&v=2&w=", "https://a.example/?token=********&v=********&********"),
        ("https://a.example/?c2VjcmV0dG9rZW4=", "https://a.example/?********"),
        ("https://a.example/?a=1&dG9rZW4xMg==", "https://a.example/?a=********&********"),
        ("https://a.example/?s3cret", "https://a.example/?********"),
        ("https://a.example/?a=1=2&&b[]=x?y", "https://a.example/?a=********&&b[]=********"),
        ("https://a.example/?a=1;token=s3cret", "https://a.example/?a=********"),
    ],
)
def test_a_urls_query_is_masked(url: str, shown: str) -> None:
    assert mask_url(url) == shown.replace("********", MASK)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (
            "https://hooks.slack.com/services/T024BE7LD/B0162ABCDEF/dkQrX8jPbq3vLmNzWtYcRg7x",
            "https://hooks.slack.com/services/T024BE7LD/B0162ABCDEF/********",
        ),
        (
            "https://discord.com/api/webhooks/1083456789012345678/"
            "2mZqk7vXxL0d-Wc9yRk3_sUe5BqNn8Tj1oGhPfVaYzKrMiEtCwQxDlHuSbAg6J4O/slack",
            "https://discord.com/api/webhooks/1083456789012345678/********/slack",
        ),
        (
            "https://acme.webhook.office.com/webhookb2/6a1b0c1e-4f5d-4a7b-9c3e-0f1e2d3c4b5a@72f988bf-86f1-41af"
            "-91ab-2d7cd011db47/IncomingWebhook/0b1d5a9f3c7e4d2f8a6b1c0e9d8f7a65/9f8e7d6c-5b4a-4938-8271-6f5e4d3c",
            "https://acme.webhook.office.com/webhookb2/********/IncomingWebhook/********/********",
        ),
        ("https://me:hunter2@a.example/x", "https://********@a.example/x"),
        ("https://tok_1@a.example", "https://********@a.example"),
        ("https://a.example:8443/a@b/c", "https://a.example:8443/a@b/c"),
        (
            "https://a.example/hooks/9bqzt3w8dtyhdpm1n5fkxs7qfa?x=1",
            "https://a.example/hooks/********?x=********",
        ),
        (
            "https://a.example/hooks/qzjxkvwmrtbplfgdhcsn/events",
            "https://a.example/hooks/********/events",
        ),
        (
            "https://hooks.zapier.example/hooks/catch/1234567/3k9xq2b/",
            "https://hooks.zapier.example/hooks/catch/1234567/********/",
        ),
        ("https://a.example/webhooks/1234567/orders/", "https://a.example/webhooks/1234567/orders/"),
        ("https://a.example/webhooks/1234567/orders2", "https://a.example/webhooks/1234567/orders2"),
        ("https://a.example/orders/1234567/3k9xq2b", "https://a.example/orders/1234567/3k9xq2b"),
    ],
)
def test_what_lets_its_holder_in_is_masked_by_its_shape(url: str, shown: str) -> None:
    assert mask_url(url) == shown.replace("********", MASK)


WORDS = [
    *("orders", "webhooks", "IncomingWebhook", "IncomingWebhookReceiverEndpoint", "HTTPWebhookReceiver"),
    *(
        "incoming-webhook-receiver-v2",
        "order-created-2024",
        "customer_subscription_updated_handler",
    ),
    *("hooks-for-production-environment-eu-west-1", "internationalization", "my-long-service-name.internal"),
    *("v1beta1", "2024-01-01", "1083456789012345678", "webhookreceiver2024"),
    # Words that nothing stands between, abbreviations among them, and other languages.
    *("stripepaymentswebhookhandler", "httpswebhookreceiver", "xmlrpcendpointlegacy", "awslambdawebhooks"),
    *("kubernetesclusterhooks", "rabbitmqpublisher", "oauthcallbackhandler", "STRIPEWEBHOOKHANDLER"[:19]),
    *("zahlungseingangsbestaetigung", "rechtsschutzversicherung", "potwierdzenieplatnosci"),
    *("confirmacaodepagamento", "abonnementsrenouveles", "bedrijfsgegevens", "guangzhoupaymentcallback"),
]


@pytest.mark.parametrize("part", WORDS)
def test_what_a_person_has_named_stays_readable(part: str) -> None:
    assert not looks_random(part)


def test_nearly_all_tokens_are_known_by_their_shape() -> None:
    chance = random.Random(7)
    letters, lower = string.ascii_letters + string.digits, string.ascii_lowercase + string.digits
    only_letters = ["".join(chance.choices(string.ascii_lowercase, k=24)) for _ in range(1000)]
    assert sum(map(looks_random, only_letters)) > 0.97 * len(only_letters)
    tokens = [
        *("".join(chance.choices(letters, k=24)) for _ in range(1000)),
        *("".join(chance.choices(lower, k=26)) for _ in range(1000)),
        *(chance.randbytes(16).hex() for _ in range(1000)),
        *(urlsafe_b64encode(chance.randbytes(33)).decode() for _ in range(1000)),
        *(str(uuid.UUID(int=chance.getrandbits(128))) for _ in range(1000)),
    ]
    assert sum(map(looks_random, tokens)) > 0.99 * len(tokens)
