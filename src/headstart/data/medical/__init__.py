"""Medical images: DICOM files, NIfTI volumes, and the privacy of patients."""
