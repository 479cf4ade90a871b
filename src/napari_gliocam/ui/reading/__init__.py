"""The dock "Reading": chart, measures, overlap, agreement, voxel, report."""
