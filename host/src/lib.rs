//! lockgate
