"""A plugin of pytest that runs the tests once to see which run a line, then those of each mutant in a fork.

The servers and templates that all tests share are made once, before the first fork.
"""

import gc
import time
import weakref
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from coverage import Coverage
from sqlalchemy import Connection, Engine, event

from mutants import forked
from mutants.chosen_tests import choose, is_own
from mutants.groups import ROOT, name_of
from mutants.loaded_module import LoadedModule
from mutants.operators import Mutant

LONGEST_RUN_SECONDS = 3600.0
SURVIVED, NOT_TRIED = "survived", "not tried"

Report = Callable[[Path, Mutant, str, list[str]], None]


class Trials:
    """Tries mutants of modules, and reports of each `noticed`, `timed out`, `survived` or `not tried`.

    What survives the tests that are tried first meets all others that run its line, unless it is one of
    `explained`, keys of mutants by their modules.
    """

    def __init__(
        self,
        mutants: Mapping[Path, Sequence[Mutant]],
        report: Report,
        *,
        explained: Mapping[Path, Collection[str]],
    ) -> None:
        self._mutants, self._report, self._explained = mutants, report, explained
        self._engines: weakref.WeakSet[Engine] = weakref.WeakSet()
        event.listen(Engine, "engine_connect", self._note_engine)
        self._failed: set[str] = set()
        self._seconds: dict[str, float] = defaultdict(float)
        self._processor_seconds: dict[str, float] = {}
        self._starters: list[str] = []
        self._now = ""
        self._noticed_by: Counter[tuple[str, str]] = Counter()

    def _note_engine(self, connection: Connection) -> None:
        self._engines.add(connection.engine)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._now = nodeid

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._seconds[report.nodeid] += report.duration
        if report.failed:
            self._failed.add(report.nodeid)

    def pytest_fixture_setup(self, fixturedef: Any) -> None:
        if fixturedef.scope == "session" and self._now not in self._starters:
            self._starters.append(self._now)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        gc.unfreeze()  # what is frozen is hidden from those who look for functions
        items = {item.nodeid: item for item in session.items}
        found = forked.call(lambda: self._measure(session.items), LONGEST_RUN_SECONDS)
        self._starters = found["starters"]
        for name in self._starters:
            _run(items[name], cast(pytest.Item, session))
        self._seconds, self._processor_seconds = found["seconds"], found["processor_seconds"]
        loaded = {module: LoadedModule(name_of(module), ROOT / module) for module in self._mutants}
        gc.freeze()  # so that forks share what a collection would write to
        usable = {name: item for name, item in items.items() if name not in found["failed"]}
        for module in self._mutants:
            self._judge(module, loaded[module], found["lines"][str(module)], usable)
        return True

    def _judge(
        self,
        module: Path,
        loaded: LoadedModule,
        lines: Mapping[str, list[str]],
        items: Mapping[str, pytest.Item],
    ) -> None:
        own = {name for name in items if is_own(module, name)}
        of_module = own | {test for tests in lines.values() for test in tests}
        for mutant in self._mutants[module]:
            # What runs at import is no test's own, also where the module was first imported during one.
            ran = _who_ran(lines, mutant) if mutant.is_in_body else []
            first, others = self._choose(module, mutant, ran or of_module or items)
            if not ran:
                others += [name for name in items if name not in of_module]
            # A line of a function that no test runs may be one that runs at import.
            can_be_tried = bool(first) and (bool(ran) or not mutant.is_in_body)
            result = self._try(loaded, mutant, [items[each] for each in first]) if can_be_tried else NOT_TRIED
            if result == SURVIVED and others and mutant.key not in self._explained[module]:
                result = self._try(loaded, mutant, [items[each] for each in others])
            self._report(module, mutant, result, first)

    def _measure(self, items: Sequence[pytest.Item]) -> dict[str, Any]:
        """Run all tests; return how long each took, who runs which lines, and who starts what they share."""
        coverage = Coverage(data_file=None, include=[str(ROOT / module) for module in self._mutants])
        coverage.set_option(
            "run:disable_warnings", ["no-data-collected"]
        )  # of statements, which run at import
        coverage.start()
        for item, following in zip(items, [*items[1:], None], strict=True):
            coverage.switch_context(item.nodeid)
            before = time.process_time()
            _run(item, following)
            self._processor_seconds[item.nodeid] = time.process_time() - before
        coverage.stop()
        lines = {}
        for module in self._mutants:
            found = coverage.get_data().contexts_by_lineno(str(ROOT / module))
            lines[str(module)] = {at: [*({*tests} - {""} - self._failed)] for at, tests in found.items()}
        print("failed without any mutant:", *sorted(self._failed), flush=True)
        return {
            "seconds": self._seconds,
            "processor_seconds": self._processor_seconds,
            "starters": self._starters,
            "lines": lines,
            "failed": [*self._failed],
        }

    def _choose(self, module: Path, mutant: Mutant, tests: Iterable[str]) -> tuple[list[str], list[str]]:
        return choose(
            module,
            tests,
            noticed=lambda test: self._noticed_by[mutant.function, test],
            processor_seconds=self._processor_seconds.__getitem__,
        )

    def _try(self, loaded: LoadedModule, mutant: Mutant, items: Sequence[pytest.Item]) -> str:
        allowed = 120 + 10 * sum(self._seconds[item.nodeid] for item in items)
        answer = forked.call(lambda: self._run_mutant(loaded, mutant, items), allowed)
        if answer is None:
            self._tidy_up(items[0].session)
            return "timed out"
        verdict, test = answer
        self._noticed_by[mutant.function, test] += 1
        return str(verdict)

    def _run_mutant(
        self, loaded: LoadedModule, mutant: Mutant, items: Sequence[pytest.Item]
    ) -> tuple[str, str]:
        self._leave_connections_alone()
        self._failed.clear()
        try:
            if not loaded.change(mutant):
                return NOT_TRIED, ""
        except Exception:
            return "noticed", ""  # it could not even be imported
        for item, following in zip(items, [*items[1:], None], strict=True):
            # Many times what it took without any mutant.
            forked.end_after(
                60 + 10 * self._seconds[item.nodeid],
                processor_seconds=5 + 5 * self._processor_seconds[item.nodeid],
            )
            _run(item, following or cast(pytest.Item, item.session))
            if self._failed:
                return "noticed", item.nodeid
        return SURVIVED, ""

    def _leave_connections_alone(self) -> None:
        """Forget connections that the parent has opened without closing them."""
        for engine in list(self._engines):
            engine.dispose(close=False)

    def _tidy_up(self, session: pytest.Session) -> None:
        """Empty the database after a test that was ended: the next to use it may fail, and empties it."""

        def run() -> None:
            self._leave_connections_alone()
            for item in session.items:
                if item.nodeid in self._starters:
                    _run(item, cast(pytest.Item, session))

        forked.call(run, 60)


def _who_ran(lines: Mapping[str, list[str]], mutant: Mutant) -> list[str]:
    return lines.get(str(mutant.line)) or lines.get(str(mutant.statement_line)) or []


def _run(item: pytest.Item, following: pytest.Item | None) -> None:
    """Run a test; of the fixtures of several tests those are kept that the following one needs."""
    item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
