"""Training of embedders: from faces with names, or from another model, to a model with a card.

read_faces      folders by person, Parquet or a store -> faces.LearningFaces; people are held out
margins         CosFace, ArcFace, AdaFace, with a sample of the people (partial softmax)
sampling        balanced drawing and re-weighting for long tails
augment         faces changed afresh each time
networks        the bundled architecture, ViT-Ti/8, and weights to start from
config          the settings; recipe: from TOML
teacher         another model's vectors and inner maps; replay: what it said is learnt again; student: the losses of likeness
learner         one step; optimisers: Muon and AdamW
processes       several processes that learn together
loop            steps, checkpoints, going on; log: log.csv, TensorBoard, a plot
accuracy        of people who are held out; reading: what cosines mean
publish         weights and card
train           all of it; averaging: the mean of old and new weights after fine-tuning
"""
