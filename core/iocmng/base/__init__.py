"""The classes authors subclass, and the context Protocol they see."""
