"""The codes of findings: what each means and what to do. The runbook is made from this table."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Code(NamedTuple):
    """One line of the table."""

    means: str
    do: str


CODES: Mapping[str, Code] = MappingProxyType(
    {
        # config.yaml
        "syntax": Code(
            "the text is no YAML or JSON", "look at line and column; the fault is there or just before"
        ),
        "unreadable": Code(
            "the file cannot be read, or is no UTF-8 text", "check its permissions and encoding"
        ),
        "too-large": Code("the file is far too large for a config", "move data into files of their own"),
        "unknown-key": Code("no such key exists at this place", "take the suggested one, or remove it"),
        "missing-key": Code("a key is required here", "add it"),
        "bad-key": Code("a key has a form that is not allowed", "write it as plain text"),
        "duplicate-key": Code("a key stands twice in one mapping", "remove one of them"),
        "wrong-type": Code(
            "the value is of another type than the key takes", "the message says which it takes"
        ),
        "bad-value": Code("the value is not among those allowed", "the message lists them"),
        "value": Code("the value does not fit the port's own type or size", "correct it, or the type"),
        "limits": Code("limits contradict each other", "low must be below high"),
        "labels": Code(
            "the labels of an enum cannot be served", "at most 16, each at most 25 bytes, no two alike"
        ),
        "duplicate-label": Code("two labels of an enum are the same", "rename one"),
        "alarm": Code(
            "the alarm keys do not fit the port's type", "numbers have limits, bool and enum have states"
        ),
        "alarm-order": Code("alarm limits are not in order", "lolo ≤ low ≤ high ≤ hihi"),
        "refused-name": Code("a port may not be called that", "choose another name"),
        "duplicate-port": Code("an input and an output have one name", "rename one: both would be one PV"),
        "name-clash": Code("a port is called like a parameter or a function", "rename one"),
        "takes-default": Code("a port takes the place of a default PV", "nothing, if that is meant"),
        "owned-field": Code("the host sets this EPICS field itself", "use the key that the message names"),
        "too-long": Code(
            "a text is longer than EPICS holds", "shorten it; the message says how long it may be"
        ),
        "text": Code("a text holds control characters", "remove them"),
        "macro": Code("a text holds $( or ${, which EPICS takes for a macro", "write it differently"),
        "epics": Code("EPICS refuses a record", "correct the field that the message names, or remove it"),
        "deprecated": Code("an old spelling, still understood", "write the new one"),
        "script": Code(
            "the script of a job is described wrongly, or class and config disagree about it",
            "the message says which key; docs/jobs.md shows them all",
        ),
        "handshake": Code(
            "class and config of a bridge task disagree, or prefixes of its PV names are missing",
            "the message says which; docs/bridge.md shows both",
        ),
        "gone": Code(
            "a key of iocmng 2 that has no meaning any more",
            "remove it; the moving guide says what replaces it",
        ),
        "changed": Code("it does something else than in iocmng 2", "docs/moving-from-iocmng-2.md says more"),
        "does-not-apply": Code("the key has no effect here", "remove it"),
        # links and logic
        "link": Code("a link names no PV, or an unknown scheme", "write NAME, ca://NAME or pva://NAME"),
        "link-self": Code("a port is linked to its own PV", "name the PV of another record"),
        "link-nowhere": Code(
            "a link names an instance of this host that has no such PV, or none to write", "correct the name"
        ),
        "needs-link": Code("a key about links on a port without one", "add link: NAME, or remove the key"),
        "no-trigger": Code(
            "no input of a reactive task has trigger: true", "add it to a linked input, or change the mode"
        ),
        "unknown-output": Code("no output is called that", "correct the name, or declare the output"),
        "unknown-actuator": Code("no port is called that", "correct the name, or declare a linked port"),
        "actuator-unlinked": Code("an actuator's port is linked to no PV", "add link: to the port"),
        "output-value": Code(
            "the value is none that the output can take", "correct it; labels are listed in the message"
        ),
        "message-pv": Code("message_pv names no output of type string", "give the output type: string"),
        "group": Code("the PV of a first-out group cannot be served", "rename the group"),
        "expression": Code(
            "a text is no expression, or uses what is not allowed", "look at line and column; see docs/logic"
        ),
        "unknown-name": Code("an expression reads what is not declared", "correct the name, or declare it"),
        "unknown-function": Code(
            "an expression calls what is no function", "correct the name, or register the function"
        ),
        "arguments": Code(
            "a function is called with arguments that it does not take", "the message shows them"
        ),
        "no-buffer": Code("an expression reads NAME_buf of a port without buffer_size", "add buffer_size: N"),
        "no-age": Code("an expression reads NAME_age of a port that is no linked input", "remove it"),
        "comparison": Code(
            "a port is compared with a value of another type, which is never equal",
            "compare as the hint says",
        ),
        "feedback": Code(
            "an expression reads what is decided after it", "nothing, if the decision before is meant"
        ),
        "duplicate-rule": Code("two rules have one id", "rename one"),
        "two-writers": Code("something else writes the output of a transform", "write another output"),
        "transform-cycle": Code("a transform is computed from its own result", "break the circle"),
        "transform-order": Code("a transform reads one that is computed after it", "move that one before it"),
        "latch-unused": Code(
            "a latch that never holds anything", "set the output in a rule, or remove latch"
        ),
        "no-effect": Code("a rule that does nothing", "give it outputs, actuators or a message"),
        "no-default": Code(
            "an output keeps what a rule set after the rule has ended", "add it to rule_defaults, or value:"
        ),
        "rules-differ": Code(
            "two rules set one output to different values", "nothing, if the later one shall win"
        ),
        "on-invalid-unstated": Code(
            "a rule that moves something does not say what unknown inputs do", "state on_invalid"
        ),
        "polled-actuator": Code(
            "actuators wait for an input that is only read now and then", "monitor it, or poll it faster"
        ),
        "trigger-loop": Code(
            "instances trigger each other in a circle", "let one of the links poll, unless the values settle"
        ),
        "unset-variable": Code("${VAR} is not set and has no default", "set it, or write ${VAR:-default}"),
        # names and instances
        "name": Code("a name has characters that are not allowed", "letters, digits, - and _; rename it"),
        "prefix": Code(
            "a prefix cannot be part of PV names, or is HOST", "set another one in config or site file"
        ),
        "pv-too-long": Code(
            "a PV name has more than 60 characters", "shorten port, instance prefix or host prefix"
        ),
        "pv-clash": Code("two instances would serve the same PV", "give one of them another prefix"),
        "duplicate-plugin": Code("two distributions advertise one plugin name", "uninstall one of them"),
        "duplicate-instance": Code("two instances have one name", "rename one in the site file"),
        "unknown-plugin": Code(
            "the site file names a plugin that is not installed", "install it, or correct the name"
        ),
        "excluded": Code(
            "an instance is left out because its plugin is excluded", "nothing, if that is meant"
        ),
        "unknown-instance": Code(
            "the command line names an instance that does not exist", "correct the name"
        ),
        "depends-unknown": Code("depends_on names no instance", "correct the name"),
        "depends-invalid": Code("depends_on names an instance that is INVALID", "mend that one first"),
        "depends-cycle": Code("instances depend on each other in a circle", "break it at one of the names"),
        "parameters": Code(
            "a parameter is missing, unknown, or not what the plugin takes", "the message names it"
        ),
        "unknown-parameter": Code(
            "a parameter that the plugin does not declare", "correct its name, or remove it"
        ),
        "environment": Code(
            "an environment variable cannot become a parameter", "correct or unset the variable"
        ),
        # the plugin's files
        "metadata": Code("the metadata of a distribution are damaged", "install it again"),
        "entry-point": Code(
            "an entry point is no 'module:Class'", "correct pyproject.toml and install again"
        ),
        "pyproject": Code("pyproject.toml cannot be read", "look at the line that the message names"),
        "no-plugin": Code("nothing is advertised in the group iocmng.plugins", "add the entry point"),
        "module-missing": Code("the entry point's module is not in the package", "correct the entry point"),
        "config-missing": Code(
            "the plugin has no config", "put config.yaml beside the module, into the package"
        ),
        "directory-unreadable": Code(
            "a plugin directory cannot be read or copied", "check permissions and free disk"
        ),
        "directory-too-large": Code("a plugin directory holds far too much", "move data elsewhere"),
        "not-installed": Code(
            "an entry of plugins.yaml cannot be installed", "the message says why; the next start tries again"
        ),
        "path": Code("a path leads out of its directory", "name a folder inside it"),
        "requirement": Code(
            "a line of requirements.txt is no requirement by name", "write NAME or NAME>=VERSION"
        ),
        "requirement-missing": Code(
            "something that the plugin requires is not installed", "install it with pip"
        ),
        "syntax-error": Code("a module is no valid Python", "look at line and column"),
        "records-refused": Code(
            "EPICS refused the records when the host loaded them",
            "read its complaint; a group of `access` that the site does not define is one cause",
        ),
        # the plugin's code
        "import-failed": Code(
            "importing the module raises", "look at the line; do not touch devices at import"
        ),
        "import-missing": Code(
            "the module imports something that is not installed", "install it; add it to dependencies"
        ),
        "import-exit": Code(
            "importing the module ends the process", "remove sys.exit or os._exit from module level"
        ),
        "import-hang": Code("importing the module takes too long", "do what waits in initialize()"),
        "import-crash": Code(
            "importing the module ends with a signal", "compiled code crashed: look at what is imported"
        ),
        "import-memory": Code(
            "importing the module takes very much memory", "load large data in initialize()"
        ),
        "import-output": Code("the module prints at import", "use self.logger"),
        "class-missing": Code("the entry point's class does not exist", "correct the name"),
        "class-unnamed": Code(
            "the module has a plugin class that the entry point does not name", "write 'module:Class'"
        ),
        "class-ambiguous": Code(
            "a plugin directory defines several plugin classes", "write class: NAME into config.yaml"
        ),
        "base-class": Code("the class is neither a TaskBase nor a JobBase", "derive it from one of them"),
        "abstract-method": Code("abstract methods are left", "write them"),
        "method-missing": Code("the method of the mode is missing", "write it, or change parameters.mode"),
        "undeclared-port": Code(
            "the code names a port that config.yaml does not declare", "correct the name, or declare it"
        ),
        "signature": Code("a method asks for arguments that it does not get", "let it take only self"),
        "constructor": Code(
            "the constructor asks for arguments that it does not get", "work in initialize()"
        ),
        "crashed-host": Code(
            "the host died while this was imported or started", "mend it, then iocmng reset NAME"
        ),
        "generation": Code(
            "what was installed through the host cannot be used: another Python or host, or damage",
            "iocmng install --from-lock",
        ),
        "install-broken": Code(
            "the lock, the pointer or a generation of the installation is damaged", "the message says which"
        ),
        "install-stale": Code(
            "an installation was made for another Python, host or base", "iocmng install --from-lock"
        ),
        "install-drift": Code(
            "lock, generation and environment of the installation disagree", "iocmng install --from-lock"
        ),
        "install-twice": Code(
            "a distribution was installed by pip and through the host", "uninstall one of them"
        ),
        "install-shadowed": Code("a module is hidden by another one of its name", "uninstall one of them"),
        "install-wheel": Code(
            "a wheel is missing, has changed, or belongs to no generation", "the message says what to do"
        ),
        "probe-failed": Code(
            "the child process that imports plugins failed", "see the host's log; report it"
        ),
        # hooks and files of the site
        "hook-load": Code("a package's hooks cannot be loaded", "mend or uninstall the package"),
        "hook-failed": Code(
            "a hook raised or took too long; it was passed over", "mend or uninstall the package"
        ),
        "hook-slow": Code(
            "a package's hooks are slower than the events", "let it hand them to a thread of its own"
        ),
        "hook-unknown": Code(
            "a package implements a hook that does not exist", "correct the function's name"
        ),
        "hook-signature": Code("a hook asks for arguments that it does not get", "see the list of hooks"),
        "hooks-later": Code("a package with hooks was installed while the host ran", "iocmng restart-host"),
        "hook-wrapper": Code("a hook is a wrapper", "drop that option"),
        "missing-file": Code(
            "a file that a setting names does not exist", "correct the setting, or remove it"
        ),
        "duplicate-token": Code("two tokens have one name", "rename one"),
        "no-effect-yet": Code(
            "this version does nothing with the key", "nothing; it is kept for later versions"
        ),
    }
)
