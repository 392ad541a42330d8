"""What a fleet recorded, for other tools: tables, TensorBoard, MLflow; one file per tool."""
