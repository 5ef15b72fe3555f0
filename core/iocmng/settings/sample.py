"""A site file that explains itself, for `iocmng config sample`."""

from __future__ import annotations

_SAMPLE = """\
# iocmng.yaml - the site file of one host. Every key may be left out; the values below are the defaults.
# Found as --config FILE, IOCMNG_CONFIG, ./iocmng.yaml, /etc/iocmng/iocmng.yaml, whichever comes first.
# ${VAR} and ${VAR:-default} are replaced from the environment and from a .env file beside this one.

# First part of all PV names: {prefix}:{instance}:{PV}. Without it: the beamline file, else IOCMNG:<HOSTNAME>.
prefix: "LAB:TEST"

# What listings call this host. Default: the name of the machine.
# name: lab-test

# Where the host keeps tokens, desired state, autosave and logs. Default: the user's state folder.
# state_dir: /var/lib/iocmng

admin:
  host: 127.0.0.1        # another address needs at least one token
  port: 8080
  # anonymous: viewer    # role of callers without a token: none, viewer; on loopback also operator, admin
  # allowed_hosts: [ioc7.lab.example]
  # tokens:
  #   - {name: operators, role: operator, token_file: /etc/iocmng/operators.token}
  # tls: {certificate: /etc/iocmng/host.pem, key: /etc/iocmng/host.key}

# Provider of links without a scheme: true for PV Access, false for Channel Access.
pva: true

# Each installed plugin runs as an instance of its own name. Entries here change that or add others.
instances: []
#  - plugin: beam-monitor
#    name: beam-monitor-2          # default: the plugin's name
#    prefix: BM2                   # default: the instance's name in upper case
#    parameters: {threshold: 5.0}
#    enabled: true
#    supervision: {restart: always, restart_max: 5}

only_listed: false       # true: plugins that are not listed above get no instance
exclude: []              # plugins without instance and records

# Records for plugins that arrive while the host runs. HOST:SPARES_FREE counts the tasks that still fit.
spares:
  instances: 16          # the default PVs of that many new instances, and beside them so many for their own:
  ai: 128
  ao: 32
  longin: 64
  longout: 16
  int64in: 16
  int64out: 8
  bi: 64
  bo: 32
  mbbi: 32
  mbbo: 16
  stringin: 32
  stringout: 16
  lsi: 16
  lso: 8
  arrays: {float64: 16, int32: 4, uint8: 4, string: 4}
  array_length: 4096     # elements of each

install:
  enabled: true          # false: no plugin comes or goes while the host runs
  backend: uv            # or pip
  # index: https://packages.lab.example/simple     # default: what the backend is configured for
  allow: []              # name patterns of what may be installed, like [acme-*]; none for all
  wheels_only: true      # false: packages of an index may be built here, which runs their code
  confirm_for: 10        # seconds that a new version must run; else the one before comes back

scripts:
  roots: []              # folders under which scripts with an absolute path must lie

autosave:
  period: 10             # seconds
  keep: 5                # backups of each file
  # dir: /var/lib/iocmng/autosave

log:
  level: INFO
  format: text           # or json
  max_mb: 50
  keep: 5
  # dir: /var/log/iocmng

runs:
  keep: 50               # run records of each job

# The site's EPICS access security file. Default: values of writable PVs may be written, other fields not.
# access_security: /etc/iocmng/site.acf
"""


def sample() -> str:
    """The text of a site file with every key that has an effect, its default and a word of explanation."""
    return _SAMPLE
