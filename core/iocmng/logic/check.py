"""What is wrong with the expressions of a config, each with its place inside the expression and a suggestion."""

from __future__ import annotations

import ast
import inspect
import itertools
import threading
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from iocmng.config import InputPort, LoadedConfig, PluginConfig, Port
from iocmng.config.logic_check import DERIVED
from iocmng.logic.functions import BUILTIN_FUNCTIONS, get_registry
from iocmng.logic.parsing import ExpressionError, Position, parse, place_of
from iocmng.names import did_you_mean, is_refused_port, nearest
from iocmng.spec.defaults import FIRST
from iocmng.spec.instance import InstanceSpec, Mode
from iocmng.values import PortType
from iocmng.wire import Finding, Level

BUFFER, OK, AGE, SEVERITY = DERIVED

_KEPT = 256
_kept: OrderedDict[tuple[object, ...], tuple[LoadedConfig, tuple[Finding, ...]]] = OrderedDict()
_lock = threading.Lock()
_SPELLINGS = {"&": "and", "|": "or", "!=": "", "!": "not", "==": "", "=": "=="}
_CONSTANTS = {"true": "True", "false": "False", "none": "None", "null": "None"}


def check_logic(
    loaded: LoadedConfig,
    spec: InstanceSpec | None = None,
    *,
    declared: Collection[str] = (),
    functions: Collection[str] | None = None,
    certain: bool = True,
    lenient: bool = False,
) -> tuple[Finding, ...]:
    """Check every expression of a config; never raises.

    Args:
        loaded: The config with its places. Instances that share it share the work.
        spec: The instance, whose parameters and mode may differ from the config's.
        declared: Parameters that the plugin's ParameterModel declares. Expressions read those that somebody states.
        functions: Names of the functions that expressions may call; None for the registered ones.
        certain: The functions are known. Without, unknown ones are passed over: a plugin's code, which is not
            imported yet, may register them.
        lenient: The rules of a plugin directory.

    Returns:
        The findings, those of transforms first.
    """
    config = loaded.complete
    if config is None or not (config.transforms or config.rules):
        return ()
    parameters = frozenset(spec.parameters if spec else config.parameters.given)
    known = frozenset(get_registry() if functions is None else functions)
    reactive = (spec.mode if spec else Mode(config.parameters.mode)) is Mode.REACTIVE
    unstated = frozenset(declared) - parameters
    key = (id(loaded), parameters, unstated, known, certain, reactive, lenient)
    with _lock:
        if key in _kept:
            _kept.move_to_end(key)
            return _kept[key][1]
    checker = _Checker(
        loaded, config, parameters, unstated, known, certain=certain, reactive=reactive, lenient=lenient
    )
    findings = tuple(checker.check())
    with _lock:
        # The config is kept beside its findings, so that its id cannot become another object's.
        _kept[key] = (loaded, findings)
        while len(_kept) > _KEPT:
            _kept.popitem(last=False)
    return findings


@dataclass(frozen=True, slots=True)
class _Place:
    """An expression: whose it is, its key path, its text, and where each name that it reads first stands."""

    subject: str
    path: tuple[str, int, str]
    text: str

    @property
    def reads(self) -> Mapping[str, Position]:
        """Nothing when it is no expression."""
        try:
            return parse(self.text).names
        except ExpressionError:
            return {}


class _Checker:
    def __init__(
        self,
        loaded: LoadedConfig,
        config: PluginConfig,
        parameters: frozenset[str],
        unstated: frozenset[str],
        functions: frozenset[str],
        *,
        certain: bool,
        reactive: bool,
        lenient: bool,
    ) -> None:
        self.loaded = loaded
        self.config = config
        self.parameters = parameters
        self.unstated = unstated
        self.functions = functions
        self.certain = certain
        self.reactive = reactive
        self.level = Level.WARNING if lenient else Level.ERROR
        self.found: list[Finding] = []
        # A port of which a key was refused may be meant otherwise than it looks now.
        self.sure = loaded.exact
        declared = {**config.arguments.inputs, **config.arguments.outputs}
        self.ports: dict[str, Port] = {
            name: port for name, port in declared.items() if not is_refused_port(name)
        }
        groups = (f"{rule.group}{FIRST}" for rule in config.rules if rule.group)
        self.known = frozenset((*self.ports, *parameters, *groups, *self._derived()))
        self.formulas = [
            _Place(f"transform {one.output}", ("transforms", index, "expression"), one.expression)
            for index, one in enumerate(config.transforms)
        ]
        self.writes: dict[str, int] = {}
        for index, one in enumerate(config.transforms):
            self.writes.setdefault(one.output, index)

    def _derived(self) -> Iterator[str]:
        for name, port in self.ports.items():
            yield f"{name}{OK}"
            yield f"{name}{SEVERITY}"
            if port.buffer_size is not None:
                yield f"{name}{BUFFER}"
            if isinstance(port, InputPort) and port.link is not None:
                yield f"{name}{AGE}"

    def check(self) -> list[Finding]:
        for place in self.formulas:
            self._expression(place)
        for index in range(len(self.formulas)):
            self._order(index)
        for index, rule in enumerate(self.config.rules):
            for key, text in (("condition", rule.condition), ("clear_when", rule.clear_when)):
                if text is None:
                    continue
                place = _Place(f"rule {rule.id}", ("rules", index, key), text)
                self._expression(place)
                if rule.actuators and self.sure:
                    self._polled(place)
        return self.found

    def _note(
        self, level: Level, code: str, place: _Place, position: Position, message: str, hint: str = ""
    ) -> None:
        where = self.loaded.inside(place.text, position.line, position.column, *place.path)
        self.found.append(Finding(level, code, f"{place.subject}: {message}", where, hint))

    def _expression(self, place: _Place) -> None:
        try:
            parsed = parse(place.text)
        except ExpressionError as error:
            hint = error.hint or _spelling(error.fragment)
            text = f"{error.reason}: {_short(error.fragment)}"
            self._note(Level.ERROR, "expression", place, error.position, text, hint)
            return
        for name, position in parsed.names.items():
            self._name(place, name, position)
        for name, position in parsed.calls.items():
            self._function(place, name, position)
        for node in ast.walk(parsed.tree):
            if isinstance(node, ast.Call):
                self._arguments(place, node)
            elif isinstance(node, ast.Compare) and self.sure:
                self._comparison(place, node)

    def _name(self, place: _Place, name: str, position: Position) -> None:
        if name in self.known:
            if name in self.ports and name in self.parameters:
                text = f"{name!r} is a port and a parameter; the port is meant"
                self._note(self.level, "name-clash", place, position, text, "rename one of them")
            self._feedback(place, name, position)
            return
        base, ending = next(
            ((name.removesuffix(end), end) for end in DERIVED if name.endswith(end)), (name, "")
        )
        if not self.sure and base in self.ports:
            return
        if ending == BUFFER and base in self.ports:
            text = f"{name!r} needs a ring buffer, and {base!r} has none"
            self._note(Level.ERROR, "no-buffer", place, position, text, f"add buffer_size: N to {base}")
        elif ending == AGE and base in self.ports:
            text = f"{name!r} is the age of a link, and {base!r} is no linked input"
            self._note(Level.ERROR, "no-age", place, position, text, "only linked inputs have an age")
        else:
            text = f"{name!r} is not declared"
            self._note(Level.ERROR, "unknown-name", place, position, text, self._hint(name))

    def _hint(self, name: str) -> str:
        if constant := _CONSTANTS.get(name.casefold()):
            return f"write {constant}"
        if name in self.unstated:
            return f"state the parameter {name} in config.yaml, so that expressions can read it"
        if name in self.functions:
            return f"{name} is a function: write {name}(…)"
        shown = [one for one in self.known if one in self.ports or one in self.parameters]
        return f"did you mean {near!r}?" if (near := nearest(name, self.known)) else did_you_mean(name, shown)

    def _feedback(self, place: _Place, name: str, position: Position) -> None:
        setters = [
            index
            for index, rule in enumerate(self.config.rules)
            if name in rule.outputs or name == rule.message_pv
        ]
        if setters and (place.path[0] == "transforms" or place.path[1] <= setters[-1]):
            text = f"{name!r} is decided later: here it is what the evaluation before decided"
            self._note(Level.NOTE, "feedback", place, position, text)

    def _function(self, place: _Place, name: str, position: Position) -> None:
        if name in self.functions:
            if name in self.ports:
                text = f"{name!r} is a port and a function; {name}(…) is the function"
                self._note(Level.WARNING, "name-clash", place, position, text, "rename the port")
        elif name in self.known:
            text = f"{name!r} is a value and cannot be called"
            self._note(Level.ERROR, "unknown-function", place, position, text, "remove the brackets")
        elif self.certain:
            text = f"there is no function {name!r}"
            hint = did_you_mean(name, self.functions)
            self._note(Level.ERROR, "unknown-function", place, position, text, hint)

    def _arguments(self, place: _Place, call: ast.Call) -> None:
        name = call.func.id if isinstance(call.func, ast.Name) else ""
        if name not in BUILTIN_FUNCTIONS or name not in self.functions:
            return
        try:
            signature = inspect.signature(get_registry()[name])
        except (KeyError, ValueError):
            return  # written in C, and Python does not know what it takes
        words = {keyword.arg: None for keyword in call.keywords if keyword.arg}
        try:
            signature.bind(*call.args, **words)
        except TypeError as error:
            text = f"{name}(): {error}"
            self._note(
                Level.ERROR,
                "arguments",
                place,
                place_of(call, place.text),
                text,
                f"it is {name}{_shape(signature)}",
            )
            return
        if name == "rate":
            self._buffer_argument(place, call.args[0])

    def _buffer_argument(self, place: _Place, argument: ast.expr) -> None:
        port = argument.id if isinstance(argument, ast.Name) else ""
        if port in self.ports:
            text = f"rate() takes a ring buffer, which knows its times, and {port!r} is one value"
            at = place_of(argument, place.text)
            self._note(Level.ERROR, "arguments", place, at, text, f"write rate({port}{BUFFER})")

    def _comparison(self, place: _Place, node: ast.Compare) -> None:
        terms = [node.left, *node.comparators]
        for left, right in itertools.pairwise(terms):
            for name, constant in ((left, right), (right, left)):
                if isinstance(name, ast.Name) and isinstance(constant, ast.Constant):
                    self._constant(place, place_of(constant, place.text), name.id, constant.value)

    def _constant(self, place: _Place, position: Position, name: str, value: object) -> None:
        port = self.ports.get(name)
        if (
            port is None
            or port.type is PortType.ARRAY
            or isinstance(value, str) is (port.type is PortType.STRING)
        ):
            return
        if isinstance(value, str):
            labels = port.labels if port.type is PortType.ENUM else ()
            if port.type is PortType.BOOL:
                labels = (port.znam, port.onam)
            text = f"{name!r} is of type {port.type.value}, a number here, and is compared with the text {value!r}"
            hint = (
                f"write {labels.index(value)} for {value}" if value in labels else "compare it with a number"
            )
        else:
            text = f"{name!r} is of type string and is compared with {value!r}"
            hint = "write the text in quotes"
        self._note(self.level, "comparison", place, position, text, hint)

    def _order(self, index: int) -> None:
        """Transforms see the results of those before them only."""
        place = self.formulas[index]
        own = self.config.transforms[index].output
        for name, position in place.reads.items():
            other = self.writes.get(name)
            if other is None or other < index:
                continue
            if way := self._way(name, own):
                text = f"{own} is computed from itself: {' → '.join([own, *way])}"
                hint = "use a ring buffer (buffer_size) to look at earlier values"
                self._note(Level.ERROR, "transform-cycle", place, position, text, hint)
            else:
                text = f"{own} reads {name}, which is computed after it"
                hint = f"move the transform of {name} before that of {own}"
                self._note(Level.ERROR, "transform-order", place, position, text, hint)

    def _way(self, start: str, end: str) -> list[str]:
        """From an output of a transform by what is computed from what to another one; empty when there is none."""
        ways, seen = [[start]], {start}
        while ways:
            way = ways.pop(0)
            if way[-1] == end:
                return way
            for name in self.formulas[self.writes[way[-1]]].reads:
                if name in self.writes and name not in seen:
                    seen.add(name)
                    ways.append([*way, name])
        return []

    def _polled(self, place: _Place) -> None:
        for name, position in place.reads.items():
            for port in self._sources(name):
                if self._is_polled(port):
                    by = "" if port == self._port_of(name) else f" (by way of {name})"
                    text = (
                        f"its actuators wait for {port}{by}, which is read only each {self._period(port):g} s"
                    )
                    hint = f"add trigger: true or link_mode: monitor to {port}"
                    self._note(Level.WARNING, "polled-actuator", place, position, text, hint)

    def _port_of(self, name: str) -> str:
        """The port that `name` is or is derived from."""
        endings = (end for end in DERIVED if name.endswith(end) and name not in self.ports)
        return name.removesuffix(next(endings, ""))

    def _sources(self, name: str) -> Iterator[str]:
        """The ports that a name stands for, through transforms."""
        todo, seen = [name], {name}
        while todo:
            one = todo.pop(0)
            yield self._port_of(one)
            for read in self.formulas[self.writes[one]].reads if one in self.writes else ():
                if read not in seen:
                    seen.add(read)
                    todo.append(read)

    def _is_polled(self, name: str) -> bool:
        port = self.config.arguments.inputs.get(name)
        if port is None or port.link is None:
            return False
        return port.link_mode == "poll" or not (port.link_mode or port.trigger or self.reactive)

    def _period(self, name: str) -> float:
        return self.config.arguments.inputs[name].poll_rate or self.config.parameters.interval


def _shape(signature: inspect.Signature) -> str:
    plain = [one.replace(annotation=one.empty) for one in signature.parameters.values()]
    return str(signature.replace(parameters=plain, return_annotation=signature.empty))


def _spelling(fragment: str) -> str:
    for wrong, right in _SPELLINGS.items():
        if fragment.startswith(wrong):
            return f"write {right}" if right else ""
    return ""


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
