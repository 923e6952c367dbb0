"""What happened to a trial: the lines of the journal, what was counted, and the facts of the machine.

The journal is the truth of a run; every table is derived from it.
"""

from attnbench.record.counts import Counted as Counted
from attnbench.record.counts import Observations as Observations
from attnbench.record.counts import PathMap as PathMap
from attnbench.record.machine import Host as Host
from attnbench.record.machine import Peaks as Peaks
from attnbench.record.machine import tells_memory as tells_memory
from attnbench.record.visit import MEASURED_METRICS as MEASURED_METRICS
from attnbench.record.visit import Conditions as Conditions
from attnbench.record.visit import Status as Status
from attnbench.record.visit import Visit as Visit

#: Version of the files in a run folder. History: 1 = first format (0.1.0).
SCHEMA = 1
