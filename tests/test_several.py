"""Several processes train as one would: the same steps, one voice, no hang. On a CPU, with two of them and gloo."""

from __future__ import annotations

import dataclasses
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from safetensors.torch import load_file
from short import short_recipe, told, trained

from finetune import jobs
from finetune.model import machine, memory
from finetune.runs import process, supervise
from finetune.runs.store import Run, create, status
from finetune.training import others, several
from finetune.training.recipe import Recipe

pytestmark = pytest.mark.timeout(150)
WANT = '{"out_of_memory": true, "message": "OutOfMemoryError: 2 GiB"}'


@pytest.fixture
def make(tiny_model: Path, small_csv: Path, tmp_path: Path):
    started: list[Run] = []

    def made(**changes) -> Run:
        wanted = short_recipe(tiny_model, **changes)
        root = tmp_path / "root"
        report = jobs.inspect(small_csv, recipe=wanted, root=root)
        started.append(create(root, report=report, recipe=wanted, name="small", compare=False))
        return started[-1]

    yield made
    for run in started:
        supervise.stop(run, 0)


def of_steps(run: Run, name: str = "loss") -> dict[int, float]:
    return {event["step"]: event[name] for event in told(run, "progress")}


def at_step(run: Run, step: int) -> None:
    deadline = time.monotonic() + 90
    while max(of_steps(run), default=0) < step:
        assert supervise.alive(run) and time.monotonic() < deadline, run.log_path.read_text()[-3000:]
        time.sleep(0.02)


def gone(one: psutil.Process, seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while one.is_running() and one.status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_two_processes_take_the_steps_of_one_stopped_in_the_middle_or_not(make, monkeypatch):
    # Two passes of two rows for each in a step; and of 49 rows the last step of a pass over them has none for the second.
    monkeypatch.setattr("finetune.model.base.precision", lambda kind: ("float32", "for the test"))
    needed = memory.estimate
    monkeypatch.setattr(memory, "estimate", lambda *_, **__: dataclasses.replace(needed(*_, **__), micro_batch=2))
    alone = make(rows=49)
    assert trained(alone)
    monkeypatch.setenv(several.FORCED, "2")
    run = make(rows=49)
    assert not trained(run, lambda: 9 in of_steps(run))
    assert max(of_steps(run)) == 10 and (run.adapter / "adapter_model.safetensors").is_file()
    assert trained(run, resume=True)
    assert any(event["text"] == "resuming from checkpoint-10" for event in told(run, "log"))

    chosen = {choice["name"]: choice for choice in told(run, "plan")[0]["choices"]}
    assert chosen["processes"]["value"] == "2" and "each computes 4 of the 8 rows" in chosen["processes"]["reason"]
    assert chosen["micro-batch"]["value"] == "2 rows × 2 × 2 processes"
    assert len(of_steps(run)) == 21
    assert of_steps(run) == pytest.approx(of_steps(alone), abs=1e-5)
    assert of_steps(run, "gradient_norm") == pytest.approx(of_steps(alone, "gradient_norm"), rel=1e-3)
    assert of_steps(run, "tokens") == of_steps(alone, "tokens")
    looks = [[event["loss"] for event in told(one, "evaluated")] for one in (run, alone)]
    assert looks[0] == pytest.approx(looks[1], abs=1e-5)
    saves = [[event["step"] for event in told(one, "checkpoint")] for one in (run, alone)]
    assert set(saves[1]) < set(saves[0])  # and at the stop
    weights, expected = (load_file(one.adapter / "adapter_model.safetensors") for one in (run, alone))
    assert weights.keys() == expected.keys()
    for name, weight in weights.items():
        assert weight.allclose(expected[name], atol=1e-5), name
    # The first process alone tells and saves.
    assert [event["seq"] for event in run.events()[0]] == list(range(1, len(run.events()[0]) + 1))
    newest = max(run.checkpoints.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    names = [sorted(path.name for path in folder.iterdir()) for folder in (newest, alone.checkpoints / newest.name)]
    assert names[0] == names[1]


def test_a_stop_is_obeyed_and_a_killed_process_fails_the_run_with_a_sentence(make, monkeypatch):
    monkeypatch.setenv(several.FORCED, "2")
    run = make(epochs=50.0)
    supervise.start(run)
    at_step(run, 2)
    (child,) = psutil.Process(process.recorded(run.directory).pid).children()
    assert os.getpgid(child.pid) == process.recorded(run.directory).pid
    supervise.stop(run, grace_seconds=60)
    assert status(run).state == "stopped" and told(run, "stopped")[0]["reason"].startswith("Stopped at step")
    assert gone(child)
    assert (run.adapter / "adapter_model.safetensors").is_file()
    assert "Error" not in run.log_path.read_text()

    stopped_at = max(of_steps(run))
    supervise.resume(run)
    at_step(run, stopped_at + 2)
    worker = psutil.Process(process.recorded(run.directory).pid)
    worker.children()[0].kill()
    assert gone(worker)
    (failed,) = told(run, "failed")
    assert failed["cause"] == "crashed" and "resume" in failed["hint"]
    assert "process 2 of 2" in failed["message"] and "killed by signal 9" in failed["message"]
    assert status(run).state == "failed"


def test_another_process_ends_with_the_first_however_that_ends(tmp_path):
    plan = dataclasses.replace(PLAN, processes=2)
    part = others.Part(Recipe(), plan, tmp_path, [], tmp_path, 0, None, number=1, store=tmp_path / "store")
    first = subprocess.Popen(
        [sys.executable, "-c", "import sys, pickle; from finetune.training import others\n"
         "part = pickle.load(sys.stdin.buffer); child = others._start(part, others.COMMAND)\n"
         "pickle.dump(part, child.stdin); child.stdin.flush(); print(child.pid, flush=True); sys.stdin.read()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=supervise.worker_environment(),
    )  # fmt: skip
    pickle.dump(part, first.stdin)
    first.stdin.flush()
    child = psutil.Process(int(first.stdout.readline()))
    child.terminate()  # a stop is for the first one to obey
    time.sleep(0.3)
    assert not gone(child, 0)
    first.kill()
    first.wait()
    assert gone(child)


def test_want_of_memory_in_another_process_is_recovered_from(make, monkeypatch):
    monkeypatch.setenv(several.FORCED, "2")
    begin, commands = others._start, []

    def start(part: others.Part, command):
        commands.append(command)
        if len(commands) == 1:
            command = [
                sys.executable,
                "-c",
                f"open({str(part.store.with_name('failed-1.json'))!r}, 'w').write({WANT!r})",
            ]
        return begin(part, command)

    monkeypatch.setattr(others, "_start", start)
    run = make(epochs=1.0)
    assert trained(run) and len(commands) == 2
    (warning,) = [event for event in told(run, "warning") if event.get("alarm") == "out_of_memory"]
    assert warning["recovery"] == {"from_step": 0, "micro_batch": 2}
    assert "in each of 2 processes: a step still learns from 8 rows" in warning["text"]
    assert [choice["value"] for choice in told(run, "plan")[-1]["choices"] if choice["name"] == "micro-batch"] == [
        "2 rows × 2 × 2"
    ]
    assert len(of_steps(run)) == 7


class Company:
    """What a fake process does in the place of another one, and what is made of it."""

    def __init__(self, folder: Path, code: str, **settings):
        plan = dataclasses.replace(PLAN, processes=2)
        part = others.Part(Recipe(), plan, folder, [], folder, 0, None, number=1, store=folder / "store")
        command = [sys.executable, "-c", f"import sys; {code}"]
        self.ends: list[others.Lost] = []
        self.others = others.Others([part], self.ends.append, command=command, **settings)


PLAN = several.Plan("cpu", "float32", "none", 8, 2, False, 0.01, 10, 5, None, ())


def test_a_process_that_ends_before_it_trains_is_not_waited_for(tmp_path):
    company = Company(tmp_path, "sys.exit(3)")
    with pytest.raises(others.Lost, match="process 2 of 2 did: it ended with status 3"):
        company.others.join()
    company.others.end()


def test_want_of_memory_elsewhere_is_want_of_memory_here(tmp_path):
    company = Company(tmp_path, f"open({str(tmp_path / 'failed-1.json')!r}, 'w').write({WANT!r}); sys.exit(1)")
    with pytest.raises(MemoryError, match="process 2 of 2"):
        company.others.join()
    company.others.end()


def test_the_end_of_a_process_is_told_even_where_the_first_one_hangs(tmp_path):
    company = Company(tmp_path, "sys.exit(3)", patience_seconds=0.3)
    company.others.watch()
    deadline = time.monotonic() + 20
    while not company.ends and time.monotonic() < deadline:
        time.sleep(0.05)
    assert "it ended with status 3" in company.ends[0].message
    company.others.end()


@pytest.fixture
def cards(monkeypatch):
    """GPUs by name: make and free bytes."""

    def there(**known: tuple[str, int]) -> tuple[str, ...]:
        monkeypatch.setattr(
            machine, "device", lambda card: machine.Device("cuda", known[card][0], 2**40, known[card][1], 8)
        )
        return tuple(known)

    monkeypatch.delenv(several.FORCED, raising=False)
    return there


def spread(names, **changes):
    return several.spread(dataclasses.replace(PLAN, device="cuda", estimated_bytes=10**9, **changes), names)


def test_all_gpus_of_one_make_train_and_a_step_keeps_its_rows(cards):
    names = cards(a=("H100", 2**33), b=("H100", 2**33), c=("T4", 2**33), d=("H100", 10**8), e=("H100", 2**33))
    plan = spread(names)
    assert plan.cards == ("a", "b") and plan.processes * plan.micro_batch * plan.accumulation == 16
    (choice,) = plan.choices
    assert (choice.name, choice.value) == ("GPUs", "2")
    for reason in ("5 are visible", "1 of another make", "1 with too little memory free", "cannot be dealt to 3 alike"):
        assert reason in choice.reason


@pytest.mark.parametrize(("micro", "accumulation", "then"), [(16, 1, (4, 1)), (2, 8, (2, 2)), (3, 4, (3, 1))])
def test_the_passes_of_each_make_up_its_share(cards, micro, accumulation, then):
    names = cards(a=("H100", 2**33), b=("H100", 2**33), c=("H100", 2**33), d=("H100", 2**33))
    plan = spread(names, micro_batch=micro, accumulation=accumulation)
    assert plan.processes == 4 and (plan.micro_batch, plan.accumulation) == then


def test_one_gpu_is_nothing_to_speak_of_and_a_number_can_be_forced(cards, monkeypatch):
    assert spread(cards(a=("H100", 2**33))).choices == ()
    two = cards(a=("H100", 2**33), b=("H100", 2**33))
    assert spread(two, micro_batch=1, accumulation=1).choices[0].value == "1 of 2"
    monkeypatch.setenv(several.FORCED, "1")
    assert spread(two).processes == 1 and "FINETUNE_PROCESSES is 1" in spread(two).choices[0].reason
    for wrong in ("0", "-2", "two", "1.5"):
        monkeypatch.setenv(several.FORCED, wrong)
        with pytest.raises(several.FinetuneError, match=f"“{wrong}”") as raised:
            spread(two)
        assert "number of processes" in raised.value.hint


@pytest.mark.parametrize(
    ("visible", "names"),
    [
        (None, ("0", "1", "2")),
        ("2,0", ("2", "0")),
        ("1,-1,0", ("1",)),
        ("", ()),
        ("-1", ()),
        ("MIG-a,MIG-b", ("MIG-a",)),
    ],
)
def test_cards_are_those_that_cuda_would_show(tmp_path, monkeypatch, visible, names):
    fake = tmp_path / "nvidia-smi"
    fake.write_text("#!/bin/sh\nprintf '0\\n1\\n2\\n'\n")
    fake.chmod(0o755)
    monkeypatch.setattr(machine, "_nvidia_smi", lambda: str(fake))
    monkeypatch.setattr(machine, "_torch_has_cuda", lambda: True)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible or "")
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "FASTEST_FIRST")
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert machine.visible_cards() == names


def test_gpus_that_are_in_sight_are_not_trained_on_by_threads(tmp_path, monkeypatch):
    import torch
    from transformers import TrainingArguments

    from finetune.training.train import arguments

    def set_up(found: TrainingArguments) -> torch.device:
        found._n_gpu = 3
        return torch.device("cpu")

    monkeypatch.setattr(TrainingArguments, "_setup_devices", property(set_up))
    assert TrainingArguments(output_dir=str(tmp_path)).n_gpu == 3
    assert arguments(Recipe(), PLAN, tmp_path).n_gpu == 1


def test_each_process_drops_something_else_and_the_same_after_a_resume():
    import torch
    from transformers import TrainerState

    from finetune.training.together import Following

    plan = dataclasses.replace(PLAN, processes=3)

    def drawn(number: int, step: int) -> float:
        Following(Recipe(seed=4), plan, number).on_step_begin(None, TrainerState(global_step=step), None)
        return torch.rand(()).item()

    with torch.random.fork_rng():
        first = {(number, step): drawn(number, step) for number in (1, 2) for step in range(20)}
        assert len(set(first.values())) == 40
        assert drawn(2, 7) == first[2, 7]


@pytest.fixture
def nvidia_smi(tmp_path, monkeypatch):
    """Two GPUs of one make and one of another; of a slice it tells the card that it lies on."""
    fake = tmp_path / "nvidia-smi"
    fake.write_text(
        "#!/bin/sh\ncase \"$*\" in *-i*) echo '0, GPU-ab, A 100, 8000, 700';; *)\n"
        "echo '0, GPU-ab, H100, 80 GB, 8000, 700'\necho '1, GPU-ac, T4, 1600, [N/A]'\necho '2, GPU-ad, T4, 1600, 160'\n"
        "echo '3, GPU-ae, H100, 80 GB, 8000, 5000';; esac\n"
    )
    fake.chmod(0o755)
    monkeypatch.setattr(machine, "_nvidia_smi", lambda: str(fake))
    monkeypatch.setattr(machine, "_torch_has_cuda", lambda: True)
    return lambda visible: monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)


def test_a_device_is_told_with_those_of_its_make_beside_it(nvidia_smi):
    mib = 1024**2
    nvidia_smi("3,2,GPU-ab,1")
    first = machine.device()
    assert (first.kind, first.name, first.total_bytes, first.free_bytes) == (
        "cuda",
        "H100, 80 GB",
        8000 * mib,
        5000 * mib,
    )
    assert first.beside == (machine.Beside(2, 700 * mib),)  # its place is that in the list
    second = machine.device("2")
    assert (second.name, second.free_bytes, second.beside) == ("T4", 160 * mib, ())
    nvidia_smi("MIG-1,MIG-2")
    assert machine.device().name == "A 100"
    for nothing in ("1", "7", ""):  # one that does not tell its memory, that is not there, none at all
        nvidia_smi(nothing)
        assert machine.device().kind == "cpu"
