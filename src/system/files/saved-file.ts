import { messageOf } from '../../errors.js';
import { diskRemedy } from './disk-remedy.js';
import { replaceFile } from './replace-file.js';

/** A file that has what this process must not forget: it is replaced as a whole, and saves in quick succession become one. */
export class SavedFile {
	#writing: Promise<void> | null = null;
	#next: Promise<void> | null = null;

	constructor(
		readonly path: string,
		private readonly text: () => string,
	) {}

	/** Resolves when the current text is on disk; rejects with the file, why it is not, and what to do. */
	save(): Promise<void> {
		if (this.#next) return this.#next;
		const before = (this.#writing ?? Promise.resolve()).catch(() => undefined);
		const started = before.then(() => {
			this.#next = null;
			this.#writing = started;
			return replaceFile(this.path, this.text()).catch((error: unknown) => {
				throw new Error(`${this.path} could not be written (${messageOf(error)}); ${diskRemedy(error)}`, {
					cause: error,
				});
			});
		});
		this.#next = started;
		return started;
	}

	get bytes(): number {
		return Buffer.byteLength(this.text());
	}
}
