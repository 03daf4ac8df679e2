"""From a trained model to a SavedModel that TF Serving takes as it is."""
