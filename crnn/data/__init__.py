"""From recordings to batches: read, check, split, decode, augment, load.

The waveform's way, file by file: ``audio_files`` (which files are recordings) -> ``corpora`` (published corpora, with
``readers`` and ``crema_d``; a recording is one of ``utterances``), ``own_data`` (with ``tables``, ``names``,
``own_entries``, ``segments``) or ``corrections`` -> ``cache`` (decoded by ``audio``, stored by ``array_store``) ->
``protocols`` (with ``splits``, ``own_split``) -> ``leaks`` (with ``near_copies``) -> ``augmented`` (training copies)
-> ``loaders`` (batches). ``prepare`` does all but the last two; ``inspection`` measures what ``python -m crnn.check``
reports. Only ``loaders`` needs torch.
"""
