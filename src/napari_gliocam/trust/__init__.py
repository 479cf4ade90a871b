"""Put explanations and maps to the test, to see how far they can be trusted.

One function a test; each long one has a generator named by a gerund that yields `Progress`.

Does the map show what the networks looked at?
    `faithfulness.measure_faithfulness`: deletion, insertion, ROAD, average drop and increase.
Would a network that knows nothing draw the same map?
    `randomisation.randomise`, cascading and layer by layer; `repeatability.repeat` with the
    weights of another bundle.
Does the map lie on the lesion, whatever the threshold?
    `localisation.localise`: AUPRC, mass and rank accuracy.
Which sequence said so?
    `sequences.attribute`: exact Shapley values of the sequences.
How sure are the maps, and where should a reader look first?
    `doubt.doubt_of_case`; `calibration` compares map values with outlines;
    `statement.state_trust` says it in words.
All of it, for several methods of a case, as a table
    `run.Assessing`; `run.assessing_map` for one method.
"""
