"""Register what this plugin adds to Bond: nothing yet, a simulator is named by its connector."""
