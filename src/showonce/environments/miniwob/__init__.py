"""MiniWoB++ (130 small web tasks, MIT) in the browser environment."""
