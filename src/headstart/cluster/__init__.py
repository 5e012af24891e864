"""The same steps on Ray: on several machines, or in several processes of this one.

Only this room imports Ray. The steps that run in workers are those of one machine, called with
plain values; they know no Ray.
"""
