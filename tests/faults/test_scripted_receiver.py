"""The receiver of a run answers by its seed."""

from faults import scripted_receiver


def test_the_receiver_answers_by_what_stays_from_run_to_run() -> None:
    answers = [scripted_receiver.mixed("7", "0", f"event-{number}", 1) for number in range(200)]
    assert answers == [scripted_receiver.mixed("7", "0", f"event-{number}", 1) for number in range(200)]
    assert len(set(answers)) >= 4
    assert answers != [scripted_receiver.mixed("7", "1", f"event-{number}", 1) for number in range(200)]
