import { replaceFile } from './replace-file.js';

/** A file that has what this process must not forget: it is replaced as a whole, and saves in quick succession become one. */
export class SavedFile {
	#writing: Promise<void> | null = null;
	#next: Promise<void> | null = null;

	constructor(
		readonly path: string,
		private readonly text: () => string,
	) {}

	/** Resolves when the current text is on disk. */
	save(): Promise<void> {
		if (this.#next) return this.#next;
		const before = (this.#writing ?? Promise.resolve()).catch(() => undefined);
		const started = before.then(() => {
			this.#next = null;
			this.#writing = started;
			return replaceFile(this.path, this.text());
		});
		this.#next = started;
		return started;
	}

	get bytes(): number {
		return Buffer.byteLength(this.text());
	}
}
