import fs = require('node:fs');

/** Node's own, taken before anything is patched. */
const { unlinkSync } = fs;

/** Removes a file of the preload; it may be gone already. */
function removeFile(file: string): void {
	try {
		unlinkSync(file);
	} catch {
		// Gone, or in a folder that is.
	}
}

export = removeFile;
