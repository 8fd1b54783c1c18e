/** What cannot stand in a new user's name: see {@link usernameRule}. */
const unfit = /[:\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]|^\s|\s$/u;

/** Basic credentials end the name at the first colon; invisible characters make names look equal in lists and logs. */
export const isUsername = (name: string): boolean => !unfit.test(name);

export const usernameRule = 'must not contain a colon, control or invisible characters, nor begin or end with a space';

/** Least length of a new password, in UTF-16 units: the least that NIST SP 800-63B allows. */
export const passwordLengthMin = 8;
