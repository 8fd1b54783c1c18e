/** A whole sequence that a terminal obeys: colours, titles, links, moves of the cursor. Each begins with an escape. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is taken out
const sequences = /(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?|\x1b[ -/]*[0-~]/g;

/** Control characters but for the tab, line separators, and the marks that turn the direction of writing. */
const unsafeCharacters = /(?!\t)[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu;

/** A line that a program wrote, without what a terminal would obey. */
export const cleanLine = (line: string): string => line.replace(sequences, '').replace(unsafeCharacters, '');
