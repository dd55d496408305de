"""Reading an action from free text: objects, arguments, aliases, repairs."""
