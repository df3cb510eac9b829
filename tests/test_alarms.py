"""What goes wrong in a training, told from made-up sequences of its numbers."""

from __future__ import annotations

import math
import random

import pytest

from finetune.training.alarms import Alarms, Diverged


def names(alarms: list) -> list[str]:
    return [alarm.name for alarm in alarms]


def heard(alarms: Alarms, losses: list[float], norm: float | None = 1.0) -> list[str]:
    return [name for step, loss in enumerate(losses, 1) for name in names(alarms.step(step, loss, norm))]


def falling(steps: int, start: float = 4.0, end: float = 0.4, noise: float = 0.3, seed: int = 0) -> list[float]:
    draw = random.Random(seed)
    return [end + (start - end) * math.exp(-5 * step / steps) + draw.uniform(-noise, noise) for step in range(steps)]


@pytest.mark.parametrize("seed", range(20))
def test_a_training_that_learns_raises_no_alarm(seed):
    alarms = Alarms(60)
    assert heard(alarms, falling(60, seed=seed)) == []


def test_a_first_jump_that_comes_back_is_no_divergence():
    assert heard(Alarms(60), [4.0, 5.5, 6.2, 4.8, *falling(56)]) == []


def test_a_loss_that_stays_where_it_began_is_told_once():
    said = []
    for seed in range(100):
        draw = random.Random(seed)
        said.append(heard(Alarms(60), [3.0 + draw.uniform(-0.4, 0.4) for _ in range(60)]))
    assert said.count(["nothing_learned"]) >= 98  # chance alone falls as far now and then
    assert said.count([]) == 100 - said.count(["nothing_learned"])


def test_a_steep_fall_of_noisy_steps_has_learned():
    # Of a run on 100 rows of eight intents, eight rows a step, which went on to 88%.
    losses = [3.59, 1.52, 0.59, 0.56, 0.98, 0.60, 0.33, 0.66, 0.31, 0.17, 0.45, 0.12, 0.43]
    losses += [0.10, 0.24, 0.22, 0.20, 0.17, 0.11, 0.22, 0.78, 0.16, 0.21, 0.22, 0.09, 0.46]
    assert heard(Alarms(65), losses) == []


def test_a_loss_that_rises_has_learned_nothing_either():
    assert heard(Alarms(40), [3.0 + 0.02 * step for step in range(40)]) == ["nothing_learned"]


def test_few_steps_say_nothing():
    assert heard(Alarms(12), [3.0] * 12) == []


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_number(loss):
    alarms = Alarms(60)
    heard(alarms, falling(9))
    with pytest.raises(Diverged, match="step 10 is not a number") as raised:
        alarms.step(10, loss, 1.0)
    assert raised.value.good == 9 and "learning_rate" in raised.value.hint


def test_a_loss_far_above_its_best_smoothed_value():
    alarms = Alarms(200)
    losses = [*falling(40), *[9.0] * 10]
    with pytest.raises(Diverged, match="after 0") as raised:
        heard(alarms, losses)
    assert raised.value.step == 43  # one step is chance, three are not
    assert raised.value.good == alarms.best_step <= 40


def test_two_outliers_are_no_divergence():
    losses = falling(60)
    losses[30] = losses[31] = 20.0
    assert heard(Alarms(60), losses) == []


def test_a_gradient_that_is_no_number():
    alarms = Alarms(60)
    alarms.step(1, 3.0, 1.0)
    with pytest.raises(Diverged, match="gradient at step 2"):
        alarms.step(2, 3.0, math.nan)


def test_in_float16_such_a_step_is_left_out_and_told_once():
    alarms = Alarms(60, scaled=True)
    assert heard(alarms, [3.0, 2.9], math.inf) == ["gradient_not_finite"]


def test_a_gradient_of_zero():
    assert heard(Alarms(60), [3.0, 2.9], 0.0) == []
    assert heard(Alarms(60), [3.0] * 9, 0.0) == ["gradient_zero"]


def test_an_adapter_that_does_not_move():
    alarms = Alarms(60)
    assert names(alarms.adapter(1, 14, 14)) == []  # warm-up
    assert names(alarms.adapter(9, 0, 14)) == []
    (alarm,) = alarms.adapter(9, 3, 14)
    assert alarm.name == "adapter_unmoved" and "3 of the adapter's 14 layers" in alarm.text
    assert alarms.adapter(12, 3, 14) == []


def looked(training: list[float], validation: list[float]) -> list[str]:
    """Alarms of looks after every ten steps of a constant training loss."""
    alarms, said = Alarms(1000), []
    for place, (loss, seen) in enumerate(zip(training, validation, strict=True), 1):
        for step in range(10 * place - 9, 10 * place + 1):
            alarms.step(step, loss, 1.0)
        said += names(alarms.look(10 * place, seen))
    return said


def test_overfitting_is_a_validation_loss_that_rises_twice_while_the_training_loss_falls():
    assert looked([2.0, 1.0, 0.5, 0.3, 0.2], [1.8, 1.2, 1.3, 1.4, 1.6]) == ["overfitting"]
    assert looked([2.0, 1.0, 0.5, 0.3], [1.8, 1.2, 1.3, 1.1]) == []  # once up is chance
    assert looked([2.0, 1.0, 1.2, 1.4], [1.8, 1.2, 1.3, 1.4]) == []  # both rise: something else


def test_learned_by_heart_is_said_of_two_looks():
    alarms = Alarms(100)
    assert names(alarms.look(5, 1.0, right=0.7, learned=1.0)) == []
    (alarm,) = alarms.look(10, 1.0, right=0.75, learned=0.97)
    assert alarm.name == "memorising" and "97%" in alarm.text and "75%" in alarm.text
    assert alarms.look(15, 1.0, right=0.7, learned=1.0) == []
    once = Alarms(100)
    said = [once.look(step, 1.0, right=right, learned=1.0) for step, right in ((5, 0.7), (10, 0.9), (15, 0.7))]
    assert said == [[], [], []]


def test_after_a_resume_it_knows_what_it_had_heard():
    history = [{"step": step, "loss": loss, "grad_norm": 1.0} for step, loss in enumerate(falling(40), 1)]
    history.append({"step": 40, "eval_loss": 0.9, "eval_score": 0.7, "eval_train_score": 1.0})
    alarms = Alarms(60)
    alarms.recall(history)
    assert len(alarms.losses) == 40 and len(alarms.looks) == 1
    assert names(alarms.look(50, 0.9, right=0.7, learned=1.0)) == ["memorising"]
