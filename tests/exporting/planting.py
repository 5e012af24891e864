"""Faults that are planted in an export, each of which must be found."""

from torch import nn

from headstart.exporting.formats import OpenVino


class Changed(nn.Module):
    """A network that sees other images than it is passed."""

    def __init__(self, network, change):
        super().__init__()
        self.network, self.outputs, self.change = network, network.outputs, change

    def forward(self, images):
        """Return the outputs for changed images."""
        return self.network(self.change(images))


def swapped(images):
    """Swap red and blue."""
    return images.flip(-1)


def mixed_in_batch(images):
    """Replace each image by the mean of the batch and itself."""
    mean = images.float().mean(dim=0, keepdim=True)
    return ((images.float() + mean) / 2).to(images.dtype)


def change_network(monkeypatch, change, *, only_half=False):
    """Convert a network that sees changed images; perhaps only if it is stored in half."""
    convert = OpenVino.convert

    def converted(self, network, size, *, half):
        if half or not only_half:
            network = Changed(network, change)
        return convert(self, network, size, half=half)

    monkeypatch.setattr(OpenVino, "convert", converted)


def change_metadata(monkeypatch, change):
    """Write changed metadata."""
    from headstart.exporting import job

    original = job.metadata_of
    monkeypatch.setattr(job, "metadata_of", lambda *arguments: change(original(*arguments)))


def change_script(monkeypatch, old, new):
    """Write a script with other text."""
    from headstart.exporting import job

    original = job.script

    def changed(values):
        text = original(values)
        assert old in text
        return text.replace(old, new)

    monkeypatch.setattr(job, "script", changed)
