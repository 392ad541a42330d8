"""Names of the classes in signatures.json. `disallowed_names` says why others are not."""

from __future__ import annotations

from typing import Any


def _names(text: str) -> list[str]:
    return text.split()


LAYERS = _names("""
    InputLayer Dense EinsumDense Embedding Activation Masking Identity ReLU LeakyReLU ELU
    PReLU Softmax Dropout AlphaDropout SpatialDropout1D SpatialDropout2D SpatialDropout3D
    GaussianNoise GaussianDropout ActivityRegularization Flatten Reshape Permute RepeatVector
    SimpleRNN GRU LSTM SimpleRNNCell GRUCell LSTMCell StackedRNNCells RNN ConvLSTM1D
    ConvLSTM2D ConvLSTM3D Bidirectional TimeDistributed Conv1D Conv2D Conv3D Conv1DTranspose
    Conv2DTranspose Conv3DTranspose SeparableConv1D SeparableConv2D DepthwiseConv1D
    DepthwiseConv2D MaxPooling1D MaxPooling2D MaxPooling3D AveragePooling1D AveragePooling2D
    AveragePooling3D GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D
    GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D BatchNormalization
    LayerNormalization GroupNormalization RMSNormalization UnitNormalization
    SpectralNormalization Add Subtract Multiply Average Maximum Minimum Concatenate Dot
    ZeroPadding1D ZeroPadding2D ZeroPadding3D Cropping1D Cropping2D Cropping3D UpSampling1D
    UpSampling2D UpSampling3D Attention AdditiveAttention MultiHeadAttention
    GroupQueryAttention Rescaling Resizing CenterCrop
    AdaptiveAveragePooling1D AdaptiveAveragePooling2D AdaptiveAveragePooling3D
    AdaptiveMaxPooling1D AdaptiveMaxPooling2D AdaptiveMaxPooling3D
    Normalization Discretization CategoryEncoding IntegerLookup Hashing HashedCrossing
    StringLookup TextVectorization
    RandomFlip RandomRotation RandomZoom RandomTranslation RandomCrop RandomContrast
    RandomBrightness RandomHue RandomSaturation RandomGrayscale RandomErasing
    RandomInvert RandomGaussianBlur
""")
LOSSES = _names("""
    MeanSquaredError MeanAbsoluteError MeanAbsolutePercentageError MeanSquaredLogarithmicError
    CosineSimilarity Huber LogCosh Poisson KLDivergence BinaryCrossentropy
    BinaryFocalCrossentropy CategoricalCrossentropy CategoricalFocalCrossentropy
    SparseCategoricalCrossentropy Hinge SquaredHinge CategoricalHinge Dice Tversky Circle CTC
    CategoricalGeneralizedCrossEntropy
""")
METRICS = _names("""
    Accuracy BinaryAccuracy CategoricalAccuracy SparseCategoricalAccuracy
    TopKCategoricalAccuracy SparseTopKCategoricalAccuracy MeanSquaredError
    RootMeanSquaredError MeanAbsoluteError MeanAbsolutePercentageError
    MeanSquaredLogarithmicError CosineSimilarity LogCoshError R2Score PearsonCorrelation
    ConcordanceCorrelation Poisson KLDivergence BinaryCrossentropy CategoricalCrossentropy
    SparseCategoricalCrossentropy Hinge SquaredHinge CategoricalHinge AUC Precision Recall
    PrecisionAtRecall RecallAtPrecision SensitivityAtSpecificity SpecificityAtSensitivity
    TruePositives TrueNegatives FalsePositives FalseNegatives F1Score FBetaScore IoU BinaryIoU
    MeanIoU OneHotIoU OneHotMeanIoU
""")
OPTIMIZERS = _names("""
    SGD RMSprop Adam AdamW Adadelta Adagrad Adamax Adafactor Nadam Ftrl Lion Lamb Muon
    ScheduleFreeAdamW
""")
SCHEDULES = _names("""
    ExponentialDecay CosineDecay CosineDecayRestarts PiecewiseConstantDecay PolynomialDecay
    InverseTimeDecay
""")
INITIALIZERS = _names("""
    Zeros Ones Constant RandomNormal RandomUniform TruncatedNormal VarianceScaling
    GlorotNormal GlorotUniform HeNormal HeUniform LecunNormal LecunUniform Orthogonal Identity
""")
REGULARIZERS = _names("""
    L1 L2 L1L2 OrthogonalRegularizer
""")
CONSTRAINTS = _names("""
    MaxNorm MinMaxNorm NonNeg UnitNorm
""")
CALLBACKS = _names("""
    EarlyStopping ReduceLROnPlateau LearningRateScheduler TerminateOnNaN ModelCheckpoint CSVLogger
    TensorBoard
""")
# Layers of models of keras.applications and of a FeatureSpace, which are in no public module.
PRIVATE_LAYERS = {
    "keras.src.applications.convnext": ("LayerScale", "StochasticDepth"),
    "keras.src.applications.inception_resnet_v2": ("CustomScaleLayer",),
    "keras.src.layers.preprocessing.feature_space": ("TFDConcat", "TFDIdentity"),
}

# A value for each argument without a default, only to read the defaults of the config.
SAMPLES: dict[str, Any] = {
    "units": 1,
    "filters": 1,
    "pool_size": 1,
    "kernel_size": 1,
    "input_dim": 1,
    "output_dim": 1,
    "rate": 0.5,
    "stddev": 0.5,
    "activation": "linear",
    "target_shape": (1,),
    "dims": (1,),
    "n": 1,
    "axes": 1,
    "axis": 1,
    "num_heads": 1,
    "key_dim": 1,
    "head_dim": 1,
    "num_query_heads": 1,
    "num_key_value_heads": 1,
    "scale": 1.0,
    "height": 1,
    "width": 1,
    "equation": "ab,bc->ac",
    "output_shape": 1,
    "output_size": 1,
    "factor": 0.5,
    "height_factor": 0.5,
    "width_factor": 0.5,
    "drop_path_rate": 0.5,
    "init_values": 0.5,
    "projection_dim": 1,
    "num_bins": 1,
    "num_classes": 2,
    "target_class_ids": [0],
    "recall": 0.5,
    "precision": 0.5,
    "sensitivity": 0.5,
    "specificity": 0.5,
    "initial_learning_rate": 0.1,
    "decay_steps": 1,
    "decay_rate": 0.5,
    "first_decay_steps": 1,
    "boundaries": [1],
    "values": [0.1, 0.2],
    "schedule": None,
}
# Arguments that a class needs although none of them is required.
ONE_OF: dict[str, dict[str, Any]] = {
    "Discretization": {"bin_boundaries": [0.5]},
    "CategoryEncoding": {"num_tokens": 2},
}
