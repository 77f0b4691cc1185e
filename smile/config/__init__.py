"""One run as data: composed from the choices' own declarations, checked, and named by what determines its numbers.

``run`` and ``identity`` import no JAX; ``parse`` knows the tables of choices, and with them the mathematics.
"""
