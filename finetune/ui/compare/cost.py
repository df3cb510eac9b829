"""What each system costs: the month at a number of requests a day, the day of break-even, and the prices behind it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from finetune.errors import FinetuneError
from finetune.evidence.money.cost import money, priced_of
from finetune.evidence.money.payback import hosted_told, span, told
from finetune.evidence.money.prices import FILE, Hosted, Machine, Prices
from finetune.evidence.systems import FINE_TUNED, SYSTEMS
from finetune.runs.store import find_run
from finetune.ui.compare import breakeven
from finetune.ui.compare.scores import name_of
from finetune.ui.notice import calm, escape, sentence

TITLE = "<h3>What it costs</h3>"
# The file belongs to all who have the page open: reading, changing and writing it are one step.
_writing = threading.Lock()


@dataclass(frozen=True)
class Cost:
    """The components."""

    root: Path
    top: gr.HTML
    requests: gr.Number
    machine: gr.Dropdown
    table: gr.HTML
    electricity: gr.Number
    watts: gr.Number
    rent: gr.Number
    hosted: gr.Dropdown
    training: gr.Number
    reading: gr.Number
    writing: gr.Number
    sources: gr.HTML
    notice: gr.HTML

    def shown(self) -> list:
        """Every component that `view` may change."""
        return [
            self.top, self.requests, self.machine, self.table, self.electricity, self.watts, self.rent, self.hosted,
            self.training, self.reading, self.writing, self.sources, self.notice,
        ]  # fmt: skip

    def view(self, story, comparison: dict, outputs: Sequence[dict]) -> dict:
        """The costs of a run, at the prices that were kept last."""
        quiet = {self.notice: gr.HTML("", visible=False)}
        if not comparison.get("cost"):
            return quiet | {self.top: f'{TITLE}<p class="quiet">No costs were measured.</p>', self.table: ""}
        try:
            prices = Prices.load(self.root)
        except FinetuneError as error:
            return {self.top: TITLE, self.table: "", self.notice: gr.HTML(sentence(error), visible=True)}
        model = prices.hosted[0] if prices.hosted else None
        return quiet | self._told(comparison, prices) | self._fields(comparison, prices) | self._model(prices, model)

    def _told(self, comparison: dict, prices: Prices) -> dict:
        found = priced_of(comparison, prices)
        return {self.top: top(found), self.table: table(found), self.sources: sources(prices)}

    def _fields(self, comparison: dict, prices: Prices) -> dict:
        machine = prices.machine_for((comparison.get("cost") or {}).get("device"))
        return {
            self.requests: priced_of(comparison, prices)["requests_per_day"],
            self.machine: gr.Dropdown(choices=[one.name for one in prices.machines], value=machine.name),
            self.electricity: prices.electricity.per_kwh,
        } | self._figures(machine)

    def _figures(self, machine: Machine) -> dict:
        rented = machine.per_hour is not None
        return {
            self.watts: gr.Number(value=machine.watts, visible=not rented),
            self.rent: gr.Number(value=machine.per_hour, visible=rented),
        }

    def _model(self, prices: Prices, model: Hosted | None) -> dict:
        return {
            self.hosted: gr.Dropdown(choices=[one.name for one in prices.hosted], value=model.name if model else None),
            self.training: model.training_per_million if model else None,
            self.reading: model.input_per_thousand if model else None,
            self.writing: model.output_per_thousand if model else None,
        }

    def keep(self, run_id: str, change: Callable[[Prices], Prices]) -> tuple[dict, Prices]:
        """Keep a change of the prices, and tell the costs anew. Raises FinetuneError."""
        with _writing:
            prices = change(Prices.load(self.root))
            prices.save(self.root)
        return self._told(_comparison(run_id, self.root), prices), prices

    def choose(self, run_id: str, machine: str) -> dict:
        """Another machine: its own figures come with it."""
        updates, prices = self.keep(run_id, lambda prices: prices.chosen(machine=machine))
        return updates | self._figures(prices.machine_for(None))

    def look(self, name: str) -> dict:
        """The figures of another hosted model."""
        prices = Prices.load(self.root)
        return self._model(prices, next((one for one in prices.hosted if one.name == name), None))

    def reset(self, run_id: str) -> dict:
        """The prices that came with the program, also where the file is damaged."""
        with _writing:
            prices = Prices.shipped()
            prices.save(self.root)
        comparison = _comparison(run_id, self.root)
        return self._told(comparison, prices) | self._fields(comparison, prices) | self._model(prices, prices.hosted[0])


def _comparison(run_id: str, root: Path) -> dict:
    found = find_run(run_id, root).comparison() if run_id else None
    if not found:
        raise FinetuneError("There is no comparison to price.", hint="Open a run that was compared.")
    return found


def top(found: Mapping[str, Any]) -> str:
    """HTML of the sentence above the table."""
    said = f"<p><b>{escape(told(found))}</b></p>"
    hosted = hosted_told(found)
    return TITLE + said + (f"<p>{escape(hosted)}</p>" if hosted else "")


def table(found: Mapping[str, Any]) -> str:
    """HTML of what each system costs."""
    systems = found["systems"]
    lines = [
        _line(
            name_of(name), systems[name], setup=found["training_cost"] if name == FINE_TUNED else 0.0,
            tone="tuned" if name == FINE_TUNED else "", mark="strongest" if name == found["against"] else "",
        )
        for name in SYSTEMS if name in systems
    ]  # fmt: skip
    lines += [_line(one["name"], one, setup=one["training"], mark="hosted") for one in found["hosted"]]
    low, high = (_exact(end) for end in found["retrieval_service_per_month"])
    lines.append(
        f'<tr><th scope="row">A retrieval service <em class="soft">hosted</em></th><td class="n">–</td><td class="n">–</td>'
        f'<td class="n">{low} to {high}</td><td class="n">–</td></tr>'
    )
    head = "".join(
        f"<th class='n'>{name}</th>" for name in ("to set up", "1,000 requests", "a month", "paid back after")
    )
    notes = "".join(f"<li>{escape(note)}</li>" for note in found["notes"])
    return (
        f'<div class="scroll"><table class="plain costs"><thead><tr><th>system</th>{head}</tr></thead>'
        f'<tbody>{"".join(lines)}</tbody></table></div><p class="quiet">A month is 30 days at '
        f"{found['requests_per_day']:,.0f} requests a day. Paid back: when the fine-tuned model, its training included, has "
        f"cost less than this system.</p>{breakeven.drawn(found)}"
        f"<details><summary>how to read these sums</summary><ul>{notes}</ul></details>"
    )


def _line(name: str, entry: Mapping[str, Any], *, setup: float | None, tone: str = "", mark: str = "") -> str:
    request, month = entry["per_request"], entry["per_month"]
    cells = [
        "unknown" if setup is None else "–" if setup == 0 else money(setup),
        "unknown" if request is None else money(1000 * request),
        "unknown" if month is None else money(month),
    ]
    days, why = entry.get("break_even_days"), entry.get("reason", "")
    after = (
        "–" if "break_even_days" not in entry else "never" if days is None else "at once" if days == 0 else span(days)
    )
    if days is None and request is None:
        after = "unknown"
    hint = f' title="{escape(why)}"' if why else ""
    told_cells = "".join(f'<td class="n">{cell}</td>' for cell in cells)
    soft = ' class="soft"' if mark == "hosted" else ""
    label = f" <em{soft}>{escape(mark)}</em>" if mark else ""
    return f'<tr class="{tone}"><th scope="row">{escape(name)}{label}</th>{told_cells}<td class="n"{hint}>{after}</td></tr>'


def sources(prices: Prices) -> str:
    """HTML of where each price comes from, and from when it is."""
    power, service = prices.electricity, prices.retrieval_service
    entries = [("Electricity", f"{_exact(power.per_kwh)} a kWh", power)]
    for machine in prices.machines:
        figure = f"{machine.watts:g} watts" if machine.per_hour is None else f"{_exact(machine.per_hour)} an hour"
        entries.append((machine.name[:1].upper() + machine.name[1:], figure, machine))
    for model in prices.hosted:
        figures = (
            (model.training_per_million, "1M training tokens"), (model.input_per_thousand, "1,000 tokens read"),
            (model.output_per_thousand, "1,000 tokens written"),
        )  # fmt: skip
        entries.append(
            (
                model.name,
                ", ".join(f"{_exact(price)} for {what}" for price, what in figures if price is not None),
                model,
            )
        )
    entries.append(
        ("A retrieval service", f"{_exact(service.low_per_month)} to {_exact(service.high_per_month)} a month", service)
    )
    lines = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(figure)}</td><td>{escape(entry.source)}</td>'
        f'<td class="n">{escape(entry.date)}</td></tr>'
        for name, figure, entry in entries
    )
    return (
        '<div class="scroll"><table class="plain sources"><thead><tr><th>price of</th><th>figure</th><th>from</th>'
        f'<th class="n">date</th></tr></thead><tbody>{lines}</tbody></table></div><p class="quiet">All in US dollars. Your '
        f"own figures are kept in {FILE} in the directory of the runs; machines and hosted models can be added there.</p>"
    )


def _exact(price: float) -> str:
    """A price as it stands in the table: $25, $0.40, $0.00375."""
    if price == round(price):
        return f"${price:,.0f}"
    return f"${price:,.2f}" if price == round(price, 2) else f"${price:g}"


def build(run: gr.State, root: Path) -> Cost:
    """The components and their events, inside the tab."""
    start = gr.HTML(TITLE, elem_id="cost-top")
    with gr.Row(elem_classes="sides"):
        requests = gr.Number(label="Requests a day", elem_id="cost-requests", min_width=160)
        machine = gr.Dropdown([], label="Machine", elem_id="cost-machine", min_width=280)
    notice = gr.HTML(visible=False, elem_id="cost-notice")
    body = gr.HTML(elem_id="cost")
    with gr.Accordion("Prices, and where they come from", open=False, elem_id="cost-prices"):
        with gr.Row(elem_classes="grid"):
            electricity = gr.Number(label="Electricity, $ a kWh", step=0.01, elem_id="cost-electricity", min_width=160)
            watts = gr.Number(label="Power of this machine at work, watts", elem_id="cost-watts", min_width=160)
            rent = gr.Number(
                label="Rent of this machine, $ an hour", step=0.01, visible=False, elem_id="cost-rent", min_width=160
            )
        with gr.Row(elem_classes="grid"):
            hosted = gr.Dropdown([], label="Hosted model", elem_id="cost-hosted", min_width=160)
            training = gr.Number(label="$ for 1M training tokens", step=0.01, elem_id="cost-training", min_width=160)
            reading = gr.Number(label="$ for 1,000 tokens read", step=0.0001, elem_id="cost-reading", min_width=160)
            writing = gr.Number(label="$ for 1,000 tokens written", step=0.0001, elem_id="cost-writing", min_width=160)
        listed = gr.HTML(elem_id="cost-sources")
        back = gr.Button("Back to the program's prices", size="sm", elem_id="cost-back")
    tab = Cost(
        root, start, requests, machine, body, electricity, watts, rent, hosted, training, reading, writing, listed, notice
    )  # fmt: skip
    private = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": None}
    quietly = calm(notice)

    def figure(change: Callable[[Prices, str, float], Prices]) -> Callable:
        # An emptied field is somebody who is about to write another number.
        return lambda run_id, name, value: (
            {} if value is None else tab.keep(run_id, lambda prices: change(prices, name, value))[0]
        )

    def of(part: str, field: str) -> Callable:
        return figure(lambda prices, name, value: prices.changed(part, name, **{field: value}))

    edits = (
        (requests, machine, figure(lambda prices, name, value: prices.chosen(requests_per_day=value))),
        (electricity, machine, of("electricity", "per_kwh")),
        (watts, machine, of("machines", "watts")),
        (rent, machine, of("machines", "per_hour")),
        (training, hosted, of("hosted", "training_per_million")),
        (reading, hosted, of("hosted", "input_per_thousand")),
        (writing, hosted, of("hosted", "output_per_thousand")),
    )
    for field, name, handler in edits:
        field.input(
            quietly(handler), [run, name, field], [notice, start, body, listed], trigger_mode="always_last", **private
        )  # fmt: skip
    machine.input(quietly(tab.choose), [run, machine], [notice, start, body, listed, watts, rent], **private)
    hosted.input(quietly(tab.look), [hosted], [notice, hosted, training, reading, writing], **private)
    back.click(quietly(tab.reset), [run], [notice, *tab.shown()[:-1]], **private)
    return tab
