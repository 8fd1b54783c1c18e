/** What an operator does about a file system that turned read-only, as the rest of a sentence. */
export const readOnlyRemedy =
	'dmesg says why; stop this daemon (systemctl stop rollcall), check the file system (fsck), mount it writable again, then restart this daemon (systemctl start rollcall); its workers serve on meanwhile';

export const isReadOnly = (error: unknown): boolean => (error as NodeJS.ErrnoException | null)?.code === 'EROFS';

/** What an operator does about a file that could not be written. */
export const diskRemedy = (error: unknown): string =>
	isReadOnly(error) ? readOnlyRemedy : 'free space or repair the disk, then try again';
