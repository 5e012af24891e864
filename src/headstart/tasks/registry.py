"""All tasks by name."""

from headstart.task import Task
from headstart.tasks.multi import Multi
from headstart.tasks.single import Single

TASKS: dict[str, Task] = {Single.name: Single(), Multi.name: Multi()}
"""The tasks by the name in options, bundles and records."""
