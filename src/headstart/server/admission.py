"""How much a server takes on at a time: it refuses at once what it could not answer soon."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from headstart.server.refusals import Refusal


@dataclass
class Ticket:
    """What one request occupies.

    Attributes:
        images: The number of its images; 1 until they have been counted.
        bytes: The size of what has been read of its body.
    """

    images: int = 1
    bytes: int = 0


class Admission:
    """Counts the images that wait or are computed. Used by the event loop's thread only.

    Args:
        max_images: Further requests are refused when there are so many. A single request may
            exceed it, so that its size does not decide when it is answered.
        max_bytes: The memory for bodies of requests.
    """

    def __init__(self, max_images: int, max_bytes: int) -> None:
        self.images, self.bytes = 0, 0
        self._max_images, self._max_bytes = max_images, max_bytes
        self._seconds_per_image = 0.0

    @contextmanager
    def admitted(self) -> Iterator[Ticket]:
        """Admit a request for the time of a block.

        Raises:
            Refusal: There is too much to do.
        """
        if self.images >= self._max_images:
            raise self._overloaded()
        ticket = Ticket()
        self.images += ticket.images
        try:
            yield ticket
        finally:
            self.images -= ticket.images
            self.bytes -= ticket.bytes

    def count_bytes(self, ticket: Ticket, count: int) -> None:
        """Count what was read of a body.

        Raises:
            Refusal: All bodies together have too many bytes.
        """
        if self.bytes + count > self._max_bytes:
            raise self._overloaded()
        ticket.bytes += count
        self.bytes += count

    def count_images(self, ticket: Ticket, count: int) -> None:
        """Count the images of a request."""
        self.images += count - ticket.images
        ticket.images = count

    def learn(self, images: int, seconds: float) -> None:
        """Learn from a batch how long an image takes, for what refused clients are told."""
        self._seconds_per_image += 0.1 * (seconds / images - self._seconds_per_image)

    def _overloaded(self) -> Refusal:
        wait = max(1, round(self.images * self._seconds_per_image))
        return Refusal(
            503,
            f"{self.images:,} images wait already. Try again in {wait} s.",
            {"Retry-After": str(wait)},
        )
