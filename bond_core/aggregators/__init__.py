"""The aggregators that come with Bond, registered through the same hooks as anyone's."""
