"""Google Gemini: real pictures. `engine.py` is the way in; the other modules are its parts."""
