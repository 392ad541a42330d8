"""From a Keras object, or a config of one, to the one form in which it is stored."""
