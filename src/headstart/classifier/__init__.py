"""What people hold while training: a backbone, and a head that is fitted on its features."""

from headstart.classifier.classifier import Classifier

__all__ = ["Classifier"]
