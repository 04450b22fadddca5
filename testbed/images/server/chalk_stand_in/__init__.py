"""A stand-in for Chalk's platform components, for tests of chalk-deploy. It is not Chalk's engine.

It loads a Chalk project as chalkpy does, answers the probes of the pods that chalk-deploy makes, runs the project's
Python resolvers for simple queries, and drains on SIGTERM.
"""
