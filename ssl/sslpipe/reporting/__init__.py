"""Tables, figures and pages, made only of what earlier stages measured."""
