"""The workbench: sees why calls get lost, in single replies and in training data. The core never imports it."""
