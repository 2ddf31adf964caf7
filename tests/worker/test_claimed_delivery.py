import pytest

from webhooks_app.worker.claimed_delivery import EXPIRED_LEASES_TO_ISOLATE, ClaimedDelivery


def claimed(expired_leases: int = 0) -> ClaimedDelivery:
    return ClaimedDelivery("dlv_1", "ep_1", "evt_1", 3, 0, expired_leases)


def test_two_claims_of_one_delivery_have_different_keys() -> None:
    assert claimed().key == ("dlv_1", 3)


@pytest.mark.parametrize("name", ["started_at", "request_headers", "outcome", "decision"])
def test_what_a_later_stage_sets_cannot_be_read_before(name: str) -> None:
    with pytest.raises(AttributeError):
        getattr(claimed(), name)
    assert name not in repr(claimed())


def test_enough_expired_leases_make_a_suspect() -> None:
    assert not claimed(EXPIRED_LEASES_TO_ISOLATE - 1).is_suspect
    assert claimed(EXPIRED_LEASES_TO_ISOLATE).is_suspect


def test_by_itself_a_claim_is_of_no_test() -> None:
    assert not claimed().is_test
